import { QkvError } from "../../ir/diagnostics.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import {
  grouped,
  groupedWeights,
  type OneOp,
  oneOpFeeds,
  oneOpModel,
  referenceAttention,
  standardWeights,
  weightOperands,
} from "./doctor-graphs.ts";
import { randomInputs } from "./inputs.ts";
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
const lengths = [1, 15, 16, 17, 31, 32, 33];

interface Probe {
  readonly name: string;
  readonly question: string;
  readonly graph: OneOp;
  /** What the first output says. */
  readonly read: (output: Float64Array) => Pick<ProbeResult, "answer" | "ok">;
}

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
export async function opsetCeiling(): Promise<number> {
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

/** The keys that query `row` attends to, of `keys`. Weight rows are 8 wide. */
const attended = (weights: Float64Array, row: number, keys: number): string =>
  Array.from({ length: keys }, (_, key) => key)
    .filter((key) => weights[8 * row + key]! > 1e-6)
    .join(" ");

/** Names an answer by what the first query attends to. */
const named = (keys: number, right: string, names: ReadonlyMap<string, string>) => (weights: Float64Array) => {
  const seen = attended(weights, 0, keys);
  const answer = names.get(seen) ?? `the first query attends to keys ${seen || "none"}`;
  return { answer, ok: seen === right };
};

function maskedRow(weights: Float64Array): Pick<ProbeResult, "answer" | "ok"> {
  const row = Array.from(weights.subarray(0, 3));
  if (row.some(Number.isNaN)) return { answer: "NaN", ok: false };
  if (row.every((weight) => weight === 0)) return { answer: "zeros", ok: true };
  const even = row.every((weight) => Math.abs(weight - 1 / 3) < 1e-5);
  return { answer: even ? "the average of all values" : `weights ${row.join(" ")}`, ok: false };
}

function windowWidth(weights: Float64Array): Pick<ProbeResult, "answer" | "ok"> {
  const count = attended(weights, 5, 6).split(" ").length;
  return { answer: `${count} keys, itself among them`, ok: count === 2 };
}

function semanticProbes(): Probe[] {
  const { q, k, v } = weightOperands(1, 3);
  const paddingMask = fromNumbers("i32", [1, 3], [1, 1, 0]);
  return [
    {
      name: "attention-bool-mask",
      question: "Attention: does true in a bool mask mean attend?",
      graph: standardWeights({ queries: 1, keys: 3, mask: [true, false, false] }),
      read: named(
        3,
        "0",
        new Map([
          ["0", "true attends"],
          ["1 2", "true hides"],
        ]),
      ),
    },
    {
      name: "attention-causal-alignment",
      question: "Attention: is_causal with fewer queries than keys and no past: where does the diagonal start?",
      graph: standardWeights({ queries: 2, keys: 4, attributes: { is_causal: 1 } }),
      read: named(
        4,
        "0",
        new Map([
          ["0", "top left"],
          ["0 1 2", "bottom right"],
        ]),
      ),
    },
    {
      name: "attention-causal-past",
      question: "Attention: is_causal with past keys: does the first new query see the past and itself?",
      graph: standardWeights({ queries: 2, keys: 2, past: 2, attributes: { is_causal: 1 } }),
      read: named(
        4,
        "0 1 2",
        new Map([
          ["0 1 2", "yes"],
          ["0", "no, only the oldest key"],
        ]),
      ),
    },
    {
      name: "attention-masked-row",
      question: "Attention: what does a query get that may attend to nothing?",
      graph: standardWeights({ queries: 1, keys: 3, mask: [false, false, false] }),
      read: maskedRow,
    },
    {
      name: "attention-softcap-order",
      question: "Attention: is the soft cap applied before the mask, so that hidden keys stay hidden?",
      graph: standardWeights({ queries: 1, keys: 3, mask: [true, true, false], attributes: { softcap: 1 } }),
      read: named(
        3,
        "0 1",
        new Map([
          ["0 1", "yes"],
          ["0 1 2", "no, hidden keys leak"],
        ]),
      ),
    },
    {
      name: "mha-padding-mask",
      question: "MultiHeadAttention: does 1 in key_padding_mask mean attend?",
      graph: multiHead(q, k, v, 1, {}, paddingMask),
      read: named(
        3,
        "0 1",
        new Map([
          ["0 1", "1 attends"],
          ["2", "1 hides"],
        ]),
      ),
    },
    {
      name: "gqa-window",
      question: "GroupQueryAttention: how many keys does local_window_size = 2 leave a query?",
      graph: groupedWeights(6, { local_window_size: 2 }),
      read: windowWidth,
    },
  ];
}

function multiHead(
  q: HostTensor,
  k: HostTensor,
  v: HostTensor,
  heads: number,
  attributes: Readonly<Record<string, number>>,
  paddingMask?: HostTensor,
): OneOp {
  return {
    op: "MultiHeadAttention",
    domain: "com.microsoft",
    attributes: { num_heads: heads, ...attributes },
    operands: paddingMask ? [q, k, v, undefined, paddingMask] : [q, k, v],
    results: ["f32"],
  };
}

const [heads, groups, size] = [4, 2, 16];

/** Each fused op at lengths around the block sizes of its kernels, against the definition. */
function numericProbes(): Probe[] {
  return lengths.flatMap((length) => {
    const draw = (name: string, count: number): HostTensor =>
      randomInputs([{ name, dtype: "f32", dims: [1, length, count * size] }], length).get(name)!;
    const q = draw("q", heads);
    const [k, v] = [draw("k", heads), draw("v", heads)];
    const [kg, vg] = [draw("kg", groups), draw("vg", groups)];
    const standard = (is_causal: number): OneOp => ({
      op: "Attention",
      domain: "",
      attributes: { is_causal, q_num_heads: heads, kv_num_heads: groups },
      operands: [q, kg, vg],
      results: ["f32"],
    });
    const full = { length, heads, groups: heads, size };
    const shared = { length, heads, groups, size };
    return [
      numeric("attention", length, standard(0), referenceAttention(q, kg, vg, { ...shared, causal: false })),
      numeric("attention-causal", length, standard(1), referenceAttention(q, kg, vg, { ...shared, causal: true })),
      numeric("mha", length, multiHead(q, k, v, heads, {}), referenceAttention(q, k, v, { ...full, causal: false })),
      numeric(
        "mha-causal",
        length,
        multiHead(q, k, v, heads, { unidirectional: 1 }),
        referenceAttention(q, k, v, { ...full, causal: true }),
      ),
      numeric(
        "gqa",
        length,
        grouped({ q, k: kg, v: vg, length, heads, groups }),
        referenceAttention(q, kg, vg, { ...shared, causal: true }),
      ),
    ];
  });
}

/** A hundred roundings of f32 around one: what sums of this length can differ by. */
const numericTolerance = 1e-5;

function numeric(name: string, length: number, graph: OneOp, reference: Float64Array): Probe {
  return {
    name: `${name}-numerics-${length}`,
    question: `${graph.op}: does it compute softmax(QKᵀ/√d)·V for ${length} tokens?`,
    graph,
    read: (output) => {
      const error = output.reduce((worst, value, i) => Math.max(worst, Math.abs(value - reference[i]!)), 0);
      const ok = output.length === reference.length && error <= numericTolerance;
      return { answer: `largest error ${error.toExponential(1)}`, ok };
    },
  };
}
