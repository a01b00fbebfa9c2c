import { decodeModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { compareOutputs, type Tolerance, tolerances } from "../../../src/backends/ort/compare-outputs.ts";
import { type OptimizationLevel, openSession } from "../../../src/backends/ort/session.ts";
import { memoryStore } from "../../../src/backends/weights/store.ts";
import { type Compiled, type CompileOptions, compile } from "../../../src/compile.ts";
import { Arena } from "../../../src/ir/arena.ts";
import { costOf } from "../../../src/ir/cost.ts";
import { evaluate, symbolsOf } from "../../../src/ir/dim.ts";
import { sameGraph } from "../../../src/ir/equal.ts";
import { type Graph, nodesOf } from "../../../src/ir/graph.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { constantTable, printGraph } from "../../../src/ir/print.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../../src/ir/tensor.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { defaultPassOptions } from "../../../src/passes/pass.ts";
import { runPipeline } from "../../../src/passes/pipeline.ts";
import { reference } from "../../../src/reference.ts";
import type { Draw } from "./draw.ts";
import { feedsFor, type RandomModel, symbolsOfInputs } from "./random-model.ts";
import { explains, roundingSpread } from "./rounding.ts";

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

/** Inputs for a graph at some sizes; undefined where there are none to try. */
export type Feeding = (graph: Graph, sizes: Sizes) => ReadonlyMap<string, HostTensor> | undefined;

/** Compiles one way and holds everything against the declared graph in float64, at the sizes given. */
export async function checkCompiled(
  make: () => RandomModel,
  options: CompileOptions,
  at: readonly Sizes[],
  say: Report,
  feed: Feeding = (graph, sizes) => feedsFor(graph, sizes, 7),
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
    if (options.dims) await checkCost(compiled, make, options, sizes, say);
    const feeds = feed(model.graph, sizes);
    if (feeds) await checkNumbers(compiled, feeds, bytes, `at {${[...sizes].join(" ")}}`, say);
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

/** Passes that weigh costs or bytes look at parts of what they made the first time as new; all others are done at once. */
const weighing = new Set(["reassociate", "mask", "project", "fold-constants"]);

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

/** A rule may put two cheap operations in the place of a dear one: in tiny graphs that shows. */
const growth = 1.25;
const fewFlops = 100;

/** Recurrences by chunks compute more than step by step, and yet are faster: a choice of the target. */
const isRecurrent = (graph: Graph) => nodesOf(graph).some(({ op }) => op === "linearAttention");

/** Held against the declared graph, or the naive one, which counts what an attention is made of. */
async function checkCost(
  { declared, graph }: Compiled,
  make: () => RandomModel,
  { dims, opset }: CompileOptions,
  sizes: Sizes,
  say: Report,
): Promise<void> {
  if (isRecurrent(declared)) return;
  const model = make();
  const settings = { naive: true, weights: memoryStore(model.weights), ...(dims && { dims }), ...(opset && { opset }) };
  const naive = await compile(model, settings);
  const formulas = [declared, naive.graph, graph].map((each) => costOf(each).flops);
  if (formulas.some((flops) => symbolsOf(flops).some((name) => !sizes.has(name)))) return;
  const [said, spelled, after] = formulas.map((flops) => evaluate(flops, sizes)) as [number, number, number];
  const before = Math.max(said, spelled);
  if (after > before * growth + fewFlops) say(`flops grow from ${before} to ${after} at {${[...sizes].join(" ")}}`);
}

const strict = { absolute: 1e-5, relative: 1e-5 };

async function checkNumbers(
  compiled: Compiled,
  feeds: ReadonlyMap<string, HostTensor>,
  bytes: Uint8Array,
  where: string,
  say: Report,
) {
  const expected = reference(compiled.declared, feeds, compiled.weights);
  const against = comparing(compiled, feeds, expected);
  for (const { pass, before, after } of compiled.steps) {
    if (before === after) continue;
    const problem = against(reference(after, feeds, compiled.weights), strict);
    if (problem) return say(`after ${pass.name} ${where}: ${problem}`);
  }
  for (const level of levels) {
    const session = await openSession(bytes, { level, threads: 1 });
    try {
      const problem = against(await session.run(feeds));
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

/**
 * Says how outputs differ from those expected. A difference beyond the tolerance is none where rounding alone
 * explains it, element by element: worked out only where it is needed.
 */
function comparing(compiled: Compiled, feeds: ReadonlyMap<string, HostTensor>, expected: Outputs) {
  let spread: ReadonlyMap<string, Float64Array> | undefined;
  return (given: Outputs, tolerance?: Tolerance): string | undefined => {
    const actual = undefinedAsExpected(expected, given);
    const bad = compareOutputs(expected, actual, tolerance).outputs.filter(({ equal }) => !equal);
    for (const { name, maxAbsError, worstIndex } of bad) {
      const [want, got] = [expected.get(name)!, actual.get(name)!];
      const { absolute, relative } = tolerance ?? tolerances[got.dtype];
      const base = absolute + relative * largest(want);
      spread ??= roundingSpread(compiled, feeds);
      if (explains(spread.get(name)!, want, got, base)) continue;
      const i = worstIndex ?? 0;
      return `${name} differs by ${maxAbsError} (element ${i}: ${toFloat64(got)[i]}, not ${toFloat64(want)[i]})`;
    }
    return undefined;
  };
}

const largest = (tensor: HostTensor): number =>
  toFloat64(tensor).reduce(
    (most, x) => (Math.abs(x) < Number.POSITIVE_INFINITY ? Math.max(most, Math.abs(x)) : most),
    0,
  );
