import { decodeModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { compareOutputs } from "../../../src/backends/ort/compare-outputs.ts";
import { type OptimizationLevel, openSession } from "../../../src/backends/ort/session.ts";
import { memoryStore } from "../../../src/backends/weights/store.ts";
import { type Compiled, type CompileOptions, compile } from "../../../src/compile.ts";
import { Arena } from "../../../src/ir/arena.ts";
import { costOf } from "../../../src/ir/cost.ts";
import { evaluate } from "../../../src/ir/dim.ts";
import { sameGraph } from "../../../src/ir/equal.ts";
import type { Graph } from "../../../src/ir/graph.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { constantTable, printGraph } from "../../../src/ir/print.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../../src/ir/tensor.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { defaultPassOptions } from "../../../src/passes/pass.ts";
import { runPipeline } from "../../../src/passes/pipeline.ts";
import { reference } from "../../../src/reference.ts";
import type { Draw } from "./draw.ts";
import { feedsFor, type RandomModel, symbolsOfInputs } from "./random-model.ts";

type Sizes = ReadonlyMap<string, number>;
type Outputs = ReadonlyMap<string, HostTensor>;

/** What does not hold, in words. */
export type Report = (problem: string) => void;

const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];
const lengths = [1, 2, 3, 5, 7, 17];

/** Sizes for every symbol: all 1, mixed, and now and then a 0. */
export function sizesOf(graph: Graph, draw: Draw, zeros: boolean): Sizes {
  const symbols = symbolsOfInputs(graph);
  return new Map(symbols.map((name) => [name, zeros && draw.chance(0.3) ? 0 : draw.pick(lengths)]));
}

/** How an option set is called in reports. */
export function describeOptions({ naive, target, opset, dims, hints }: CompileOptions): string {
  const show = (sizes?: Sizes) => (sizes ? `{${[...sizes].join(" ")}}` : "-");
  return `${naive ? "naive" : target}@${opset} dims ${show(dims)} hints ${show(hints)}`;
}

/** Compiles one way and holds everything against the declared graph in float64, at the sizes given. */
export async function checkCompiled(
  make: () => RandomModel,
  options: CompileOptions,
  at: readonly Sizes[],
  say: Report,
) {
  const model = make();
  const weights = memoryStore(model.weights);
  const compiled = await compile(model, { ...options, weights });
  checkTexts(compiled, say);
  if (!options.naive) await checkFixedPoint(compiled, options, say);
  const bytes = encodeModel(compiled.onnx()).model;
  const again = await compile(make(), { ...options, weights });
  if (!sameBytes(bytes, encodeModel(again.onnx()).model)) say("exporting twice gives different files");
  const decoded = encodeModel(decodeModel(bytes)).model;
  if (!sameBytes(bytes, decoded)) say("decoding and encoding changes the file");
  for (const sizes of at) {
    if (options.dims) checkCost(compiled, sizes, say);
    await checkNumbers(compiled, model, bytes, sizes, say);
  }
  return { compiled, bytes };
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

function checkTexts({ steps, declared, arena }: Compiled, say: Report): void {
  for (const graph of new Set([declared, ...steps.map(({ after }) => after)])) {
    const text = printGraph(graph, { arena });
    const parsed = parseGraph(text, new Arena(), { constants: constantTable(graph) });
    if (!sameGraph(graph, parsed)) say(`text does not read back as the same graph:\n${text}`);
    verifyGraph(parsed);
  }
}

/** Passes that weigh costs look at parts of what they made the first time as new; all others are done at once. */
const weighing = new Set(["reassociate", "project"]);

async function checkFixedPoint(compiled: Compiled, options: CompileOptions, say: Report): Promise<void> {
  const { arena, target, weights } = compiled;
  const dims = new Map([...(options.hints ?? []), ...(options.dims ?? [])]);
  const cx = { arena, target, weights, dims, options: defaultPassOptions };
  for (const { pass, after } of compiled.steps) {
    if (weighing.has(pass.name)) continue;
    const { graph } = await runPipeline(after, [pass], cx);
    if (graph !== after) say(`${pass.name} run again changes what it made:\n${printGraph(after, { arena })}`);
  }
}

/** Kernels that are spelled out cost a little more by our formulas than as one op. */
const growth = 1.25;

function checkCost({ declared, graph }: Compiled, sizes: Sizes, say: Report): void {
  const [before, after] = [declared, graph].map((each) => evaluate(costOf(each).flops, sizes));
  if (after! > before! * growth) say(`flops grow from ${before} to ${after} at {${[...sizes].join(" ")}}`);
}

const strict = { absolute: 1e-5, relative: 1e-5 };
const loose = { absolute: 2e-5, relative: 5e-4 };

async function checkNumbers(compiled: Compiled, model: RandomModel, bytes: Uint8Array, sizes: Sizes, say: Report) {
  const feeds = feedsFor(model.graph, sizes, 7);
  const expected = reference(compiled.declared, feeds, compiled.weights);
  const where = `at {${[...sizes].join(" ")}}`;
  for (const { pass, before, after } of compiled.steps) {
    if (before === after) continue;
    const problem = differs(expected, reference(after, feeds, compiled.weights), strict);
    if (problem) return say(`after ${pass.name} ${where}: ${problem}`);
  }
  for (const level of levels) {
    const session = await openSession(bytes, { level, threads: 1 });
    try {
      const problem = differs(expected, await session.run(feeds), loose);
      if (problem) say(`in the runtime, ${level}, ${where}: ${problem}`);
    } finally {
      await session.close();
    }
  }
}

/** Where the reference is no number, for example in rows that see no key, anything may come out. */
function undefinedAsExpected(expected: Outputs, actual: Outputs): Outputs {
  return new Map(
    [...actual].map(([name, tensor]) => {
      const want = expected.get(name)!;
      if (want.dtype !== "f64" || !want.data.some((x) => Number.isNaN(x))) return [name, tensor];
      const data = toFloat64(tensor).map((x, i) => (Number.isNaN(want.data[i]) ? Number.NaN : x));
      return [name, fromNumbers(tensor.dtype, tensor.dims, data)];
    }),
  );
}

function differs(expected: Outputs, given: Outputs, tolerance: { absolute: number; relative: number }) {
  const actual = undefinedAsExpected(expected, given);
  const { outputs } = compareOutputs(expected, actual, tolerance);
  const bad = outputs.find(({ equal }) => !equal);
  if (!bad) return undefined;
  const i = bad.worstIndex ?? 0;
  const at = (tensors: Outputs) => toFloat64(tensors.get(bad.name)!)[i];
  return `${bad.name} differs by ${bad.maxAbsError} (element ${i}: ${at(actual)}, not ${at(expected)})`;
}
