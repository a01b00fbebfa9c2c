import { expect, test } from "vitest";
import { randomInputs } from "../../../src/backends/ort/inputs.ts";
import { memoryStore, type WeightStore } from "../../../src/backends/weights/store.ts";
import { type Compiled, type CompileOptions, compile, paramsOf } from "../../../src/compile.ts";
import type { Built, Setting, Settings } from "../../../src/dsl/model.ts";
import { symbolsIn } from "../../../src/feeds.ts";
import { type HostTensor, randomFeeds, type Session, session } from "../../../src/index.ts";
import type { Graph } from "../../../src/ir/graph.ts";
import { toFloat64 } from "../../../src/ir/tensor.ts";
import { attentionOf, type Feeds, named, type Written } from "./reference.ts";

/** A model with whatever settings. */
interface Declared {
  readonly defaults: Settings;
  build(overrides?: Record<string, Setting>): Built;
}

/** A variant, and what it computes written down a second time. */
export interface Variant {
  readonly model: Declared;
  /** Small sizes, to which the reference is written. */
  readonly settings?: Settings;
  /** Numbers of queries and keys; squares of odd sizes by default. */
  readonly lengths?: readonly (readonly [queries: number, keys: number])[];
  /** Sizes of further named dims. */
  readonly dims?: (queries: number, keys: number) => Readonly<Record<string, number>>;
  /** Numbers of queries and keys at full size, with the settings it is declared with. */
  readonly fullSize?: readonly [queries: number, keys: number];
  /** Inputs that are no random numbers. */
  readonly inputs?: (sizes: Lengths) => Readonly<Record<string, HostTensor>>;
  /** Mask, score and weights where the output is one attention of q, k and v … */
  readonly written?: (feeds: Feeds, lengths: Lengths) => Written;
  /** … or every output. */
  readonly outputs?: (feeds: Feeds, lengths: Lengths) => Readonly<Record<string, ArrayLike<number>>>;
}

export interface Lengths {
  readonly Q: number;
  readonly K: number;
}

export const heads = 2;
export const batch = 2;

const square = [1, 15, 17, 33, 65, 257].map((n) => [n, n] as const);
const oblong = [
  [1, 33],
  [17, 33],
  [33, 15],
  [65, 257],
] as const;

const small: Settings = { heads, d: 8 };
/** Float32 against float64: sums of some hundred terms of size 1, or of the size of the largest result. */
const tolerance = 2e-5;

type Three = [HostTensor, HostTensor, HostTensor];

/** With as many keys as queries, or with an axis of their own. */
function declared({ model, settings }: Variant, keys: "seq" | "keys") {
  const axis = "keys" in model.defaults ? { keys } : {};
  return { build: () => model.build({ ...small, ...axis, ...settings }) };
}

/** Random inputs and the parameters, by name: a reference reads both. */
function feedsOf(variant: Variant, { declared, weights }: Compiled, { Q, K }: Lengths) {
  const dims = new Map(Object.entries({ batch, seq: Q, keys: K, ...variant.dims?.(Q, K) }));
  const feeds = randomFeeds(declared, dims, Q + K);
  for (const [name, tensor] of Object.entries(variant.inputs?.({ Q, K }) ?? {})) feeds.set(name, tensor);
  const parameters = paramsOf(declared).map(({ name }) => [name, weights.read(name)] as const);
  return { inputs: feeds, all: new Map([...feeds, ...parameters]) };
}

/** Parameters that matter: no gain is 1, no table nearly 0. */
function weightsOf(graph: Graph): WeightStore {
  const specs = paramsOf(graph).map(({ name, dtype, dims }) => {
    const std = dims.length === 1 ? 1 : 1 / Math.sqrt(dims.at(-1)!);
    return { name, dtype, dims, fill: { kind: "normal", std } as const };
  });
  return memoryStore(randomInputs(specs, 5));
}

const compiledFor = (model: { build(): Built }, options: CompileOptions) => {
  const built = model.build();
  return compile(built, { ...options, weights: weightsOf(built.graph) });
};

/** What is run, and what must come out. */
interface Expected {
  readonly inputs: ReadonlyMap<string, HostTensor>;
  readonly outputs: Readonly<Record<string, ArrayLike<number>>>;
}

function expectedOf(variant: Variant, compiled: Compiled, lengths: Lengths): Expected {
  const { inputs, all } = feedsOf(variant, compiled, lengths);
  const outputs = variant.outputs?.(all, lengths) ?? {
    o: attentionOf(...(["q", "k", "v"].map((name) => named(all, name)) as Three), variant.written!(all, lengths)),
  };
  return { inputs, outputs };
}

async function check({ inputs, outputs }: Expected, running: Session, { Q, K }: Lengths): Promise<void> {
  const actual = await running.run(inputs);
  expect([...actual.keys()].toSorted()).toEqual(Object.keys(outputs).toSorted());
  for (const [name, values] of Object.entries(outputs)) {
    const found = toFloat64(actual.get(name)!);
    expect(found).toHaveLength(values.length);
    const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - values[i]!)), 0);
    const largest = Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 1);
    expect(worst / largest, `${name} with ${Q} queries, ${K} keys`).toBeLessThan(tolerance);
  }
}

/** Runs a variant in the runtime, and compares it with its reference at every length. */
export function checkVariant(variant: Variant): void {
  const shapes = variant.lengths ?? square;
  // Inputs and parameters are the same however it is compiled, so the reference is worked out once.
  const known = new Map<string, Expected>();

  const runAt = async (keys: "seq" | "keys", lengths: typeof shapes, options: CompileOptions = {}) => {
    const compiled = await compiledFor(declared(variant, keys), options);
    const running = await session(compiled);
    for (const [Q, K] of lengths) {
      const name = `${keys} ${Q} ${K}`;
      if (!known.has(name)) known.set(name, expectedOf(variant, compiled, { Q, K }));
      await check(known.get(name)!, running, { Q, K });
    }
    await running.close();
  };
  test("lengths open", () => runAt("seq", shapes));
  test("as declared", () => runAt("seq", shapes.slice(0, 4), { naive: true }));
  test("in standard operators", () => runAt("seq", shapes.slice(-2), { target: "onnx", opset: 17 }));
  test("lengths fixed", async () => {
    for (const shape of shapes) {
      const { graph } = declared(variant, "seq").build();
      await runAt("seq", [shape], { dims: sizesOf(variant, graph, shape) });
    }
  });
  if ("keys" in variant.model.defaults) test("more or fewer keys than queries", () => runAt("keys", oblong));
  if (!variant.inputs && !atFullSize.has(variant.model)) test("at full size", () => checkFullSize(variant));
  atFullSize.add(variant.model);
}

const atFullSize = new Set<Declared>();

/**
 * The settings it is declared with, at a length where work is worth skipping: as the naive graph, lengths open and fixed.
 */
async function checkFullSize(variant: Variant): Promise<void> {
  const shape = variant.fullSize ?? [1025, 1025];
  const built = variant.model.build({ heads });
  const weights = weightsOf(built.graph);
  const dims = sizesOf(variant, built.graph, shape);
  const inputs = randomFeeds(built.graph, dims, 11);
  const outputs = async (options: CompileOptions) => {
    const running = await session(await compile(built, { ...options, weights }));
    const found = await running.run(inputs);
    await running.close();
    return found;
  };
  const expected = await outputs({ naive: true });
  for (const options of [{ hints: dims }, { dims }])
    for (const [name, tensor] of await outputs(options)) {
      const [found, wanted] = [toFloat64(tensor), toFloat64(expected.get(name)!)];
      const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
      expect(worst, `${name}, lengths ${"dims" in options ? "fixed" : "open"}`).toBeLessThan(2 * tolerance);
    }
}

/** The sizes a graph has names for. */
function sizesOf(variant: Variant, graph: Graph, [Q, K]: readonly [number, number]): ReadonlyMap<string, number> {
  const symbols = symbolsIn(graph);
  const sizes = { batch, seq: Q, keys: K, ...variant.dims?.(Q, K) };
  return new Map(Object.entries(sizes).filter(([name]) => symbols.includes(name)));
}
