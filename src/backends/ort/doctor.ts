import { QkvError } from "../../ir/diagnostics.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { type OneOp, oneOpFeeds, oneOpModel } from "./doctor-graphs.ts";
import { numericProbes, type Probe, semanticProbes } from "./doctor-probes.ts";
import { nodePlacement } from "./placement.ts";
import { availableProviders } from "./providers.ts";
import { type ExecutionProvider, openSession, runtimeInfo } from "./session.ts";

/** One question about what the runtime does, asked by running a one-op graph. */
export interface ProbeResult {
  readonly name: string;
  /** The provider asked for. */
  readonly provider: ExecutionProvider;
  readonly question: string;
  /** What was seen, or the runtime's error. */
  readonly answer: string;
  /** Whether that is what the ONNX specification, or the op's own documentation, says. */
  readonly ok: boolean;
}

export interface ProviderReport {
  readonly name: ExecutionProvider;
  readonly usable: boolean;
  /** Why not, in the runtime's words. */
  readonly reason?: string;
}

export interface RuntimeReport {
  /** onnxruntime-node's version. */
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  readonly providers: readonly ProviderReport[];
  /** The newest opset of the standard operators that loads. */
  readonly opsetCeiling: number;
  readonly probes: readonly ProbeResult[];
}

/** Opset of the probes: Attention's second version. */
const probeOpset = 24;

/** What the installed runtime really does on this machine. Throws QKV452 where it cannot be loaded. */
export async function probeRuntime(onProgress?: (done: number, total: number) => void): Promise<RuntimeReport> {
  const { version } = await runtimeInfo();
  const providers: ProviderReport[] = [];
  for (const name of await availableProviders()) providers.push(await tryProvider(name));
  const usable = providers.filter((provider) => provider.usable);
  const probes = [...semanticProbes(), ...numericProbes()];
  const results: ProbeResult[] = [];
  for (const { name } of usable)
    for (const probe of probes) {
      results.push(await ask(probe, name));
      onProgress?.(results.length, usable.length * probes.length);
    }
  return {
    version,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    providers,
    opsetCeiling: await opsetCeiling(),
    probes: results,
  };
}

const identity: OneOp = {
  op: "Identity",
  domain: "",
  attributes: {},
  operands: [fromNumbers("f32", [1], [1])],
  results: ["f32"],
};

async function tryProvider(name: ExecutionProvider): Promise<ProviderReport> {
  try {
    await (await openSession(oneOpModel(identity, 13), { ep: name })).close();
    return { name, usable: true };
  } catch (error) {
    if (!(error instanceof QkvError)) throw error;
    return { name, usable: false, reason: [error.message, ...(error.details.notes ?? [])].join(": ") };
  }
}

/** Tries opsets upwards; a runtime refuses those newer than it knows. */
async function opsetCeiling(): Promise<number> {
  let ceiling = 0;
  for (let opset = 13; opset < 100; opset++) {
    try {
      await (await openSession(oneOpModel(identity, opset))).close();
      ceiling = opset;
    } catch (error) {
      if (!(error instanceof QkvError)) throw error;
      return ceiling;
    }
  }
  return ceiling;
}

async function ask({ name, question, graph, read }: Probe, provider: ExecutionProvider): Promise<ProbeResult> {
  const model = oneOpModel(graph, probeOpset);
  const feeds = oneOpFeeds(graph);
  try {
    const session = await openSession(model, { ep: provider });
    const outputs = await session.run(feeds).finally(() => session.close());
    const { answer, ok } = read(toFloat64(outputs.get("y0")!));
    return { name, provider, question, answer: answer + (await whereItRan(model, feeds, graph, provider)), ok };
  } catch (error) {
    if (!(error instanceof QkvError)) throw error;
    return { name, provider, question, answer: error.message, ok: false };
  }
}

/** An answer of the CPU says nothing about another provider that handed the op over. */
async function whereItRan(
  model: Uint8Array,
  feeds: ReadonlyMap<string, HostTensor>,
  { op }: OneOp,
  provider: ExecutionProvider,
): Promise<string> {
  if (provider === "cpu") return "";
  const { nodes } = await nodePlacement(model, { ep: provider, feeds });
  const ran = nodes.find(({ opType }) => opType === op)?.provider;
  return ran === "CPUExecutionProvider" ? " (ran on the CPU)" : "";
}
