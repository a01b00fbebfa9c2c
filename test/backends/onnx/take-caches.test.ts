import { expect, it } from "vitest";
import type { OnnxGraph, OnnxModel } from "../../../src/backends/onnx/schema.ts";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { add, type Dim, symbol } from "../../../src/ir/dim.ts";
import type { Value } from "../../../src/ir/graph.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { check, count, numbers, ortCpu, tensor } from "./support/check.ts";

interface Sizes {
  readonly batch?: number;
  readonly past: number;
  readonly queries: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly width?: number;
  readonly valueWidth?: number;
  /** Dims are numbers in the file. */
  readonly frozen?: boolean;
}

interface Step extends Record<"q" | "k" | "v" | "keys" | "values" | "pastKeys" | "pastValues", Value> {
  readonly arena: Arena;
  readonly inputs: Value[];
  readonly feeds: Map<string, HostTensor>;
  readonly total: Dim;
  input(name: string, shape: readonly Dim[], data: HostTensor): Value;
}

/** Queries, new keys and values, and those of before with the new ones after them. */
function step({ batch = 2, past, queries, heads = 2, kvHeads = heads, ...more }: Sizes): Step {
  const { width = 8, valueWidth = width, frozen = false } = more;
  const arena = new Arena();
  const b = arena.build;
  const dim = (size: number, name: string): Dim => (frozen ? size : symbol(name));
  const [B, P, S] = [dim(batch, "b"), dim(past, "p"), dim(queries, "s")];
  const feeds = new Map<string, HostTensor>();
  const inputs: Value[] = [];
  const input = (name: string, shape: readonly Dim[], data: HostTensor) => {
    feeds.set(name, data);
    inputs.push(b.input({ name, dtype: data.dtype, shape }));
    return inputs.at(-1)!;
  };
  const part = (name: string, h: number, length: number, open: Dim, w: number) =>
    input(name, [B, h, open, w], tensor("f32", [batch, h, length, w], inputs.length + 1));
  const q = part("q", heads, queries, S, width);
  const k = part("k", kvHeads, queries, S, width);
  const v = part("v", kvHeads, queries, S, valueWidth);
  const pastKeys = part("past.k", kvHeads, past, P, width);
  const pastValues = part("past.v", kvHeads, past, P, valueWidth);
  const keys = b.concat(pastKeys, k, { axis: 2 });
  const values = b.concat(pastValues, v, { axis: 2 });
  return { arena, inputs, feeds, total: add(P, S), input, q, k, v, keys, values, pastKeys, pastValues };
}

const run = ({ arena, inputs, feeds }: Step, outputs: readonly (readonly [string, Value])[], target = ortCpu()) =>
  check(arena, graphOf("step", inputs, outputs), feeds, target);

const callOf = ({ nodes }: OnnxGraph) => nodes.find(({ opType }) => opType === "Attention")!;

/** Whether the attention has the cache for its own. */
function takes(model: OnnxModel): boolean {
  const { inputs, outputs } = callOf(model.graph);
  expect(outputs.length).toBe(inputs.length > 4 ? 3 : 1);
  return inputs.length > 4;
}

const sizes: readonly Sizes[] = [
  { past: 0, queries: 1 },
  { past: 0, queries: 17, batch: 1 },
  { past: 31, queries: 1 },
  { past: 15, queries: 33, heads: 4, kvHeads: 2 },
  { past: 64, queries: 1, heads: 3, kvHeads: 1, valueWidth: 5 },
  { past: 65, queries: 2, frozen: true },
];

/** With a bias, which only one of the kernels takes. */
function attended(s: Step, q: Value, keys: Value, values: Value): Value {
  const [rows, past] = [s.feeds.get("q")!.dims[2]!, s.feeds.get("past.k")!.dims[2]!];
  const data = fromNumbers("f32", [1, 1, rows, past + rows], numbers(rows * (past + rows), 7));
  const bias = s.input(`bias${s.inputs.length}`, [1, 1, q.type.shape[2]!, s.total], data);
  return s.arena.build.attention(q, keys, values, bias, { scale: 0.3 });
}

for (const given of sizes)
  it(`takes keys and values of before: ${JSON.stringify(given)}`, async () => {
    const s = step(given);
    const model = await run(s, [
      ["y", attended(s, s.q, s.keys, s.values)],
      ["present.k", s.keys],
      ["present.v", s.values],
    ]);
    expect(takes(model)).toBe(true);
    expect(count(model, "Concat")).toBe(0);
  });

it("rows that see nothing are zeros all the same, and what is not asked for is not answered", async () => {
  const s = step({ past: 7, queries: 3 });
  const seen = fromNumbers(
    "bool",
    [2, 1, 3, 10],
    Array.from({ length: 60 }, (_, i) => Number(i % 20 >= 10)),
  );
  const mask = s.input("mask", [s.q.type.shape[0]!, 1, s.q.type.shape[2]!, s.total], seen);
  const y = s.arena.build.attention(s.q, s.keys, s.values, mask, { scale: 1 });
  expect(takes(await run(s, [["y", y]]))).toBe(true);
});

/** Attention over all keys for few queries, else over their sum, each reading the cache. */
function chosen(s: Step): Value {
  const { arena, q, keys, values } = s;
  const b = arena.build;
  const inputs = [q, keys, values].map(({ type }, i) => b.input({ name: `captured.${i}`, ...type }));
  const [q1, k1, v1] = inputs as [Value, Value, Value];
  const summed = b.reduceSum(k1, { axes: [2], keepDims: true });
  const whenTrue = graphOf("few", inputs, [["y", b.attention(q1, k1, v1, { scale: 0.5 })]]);
  const whenFalse = graphOf("many", inputs, [["y", b.add(b.attention(b.mul(q1, summed), k1, v1, { scale: 0.5 }), q1)]]);
  const isFew = b.less(b.size({ of: q.type.shape[2]! }), b.scalar(4, "i64"));
  return arena.node("if", [isFew, q, keys, values], { whenTrue, whenFalse }).results[0]!;
}

it("behind a choice, which then answers the cache", async () => {
  for (const queries of [1, 5])
    for (const past of [0, 9]) {
      const s = step({ past, queries });
      const model = await run(s, [
        ["present.v", s.values],
        ["y", s.arena.build.neg(chosen(s))],
        ["present.k", s.keys],
      ]);
      expect(count(model, "Concat")).toBe(0);
      const choice = model.graph.nodes.find(({ opType }) => opType === "If")!;
      expect(choice.outputs).toHaveLength(3);
      const concats = ["then_branch", "else_branch"].map((name) => {
        const branch = choice.attributes.get(name)!;
        return branch.kind === "graph" && branch.value.nodes.filter(({ opType }) => opType === "Concat").length;
      });
      // The keys are summed before they are attended to.
      expect(concats).toEqual([0, 2]);
    }
});

it("the first of two attentions to one cache", async () => {
  const s = step({ past: 3, queries: 2 });
  const once = attended(s, s.q, s.keys, s.values);
  const model = await run(s, [["y", attended(s, once, s.keys, s.values)]]);
  const calls = model.graph.nodes.filter(({ opType }) => opType === "Attention");
  expect(calls.map(({ inputs }) => inputs.length)).toEqual([6, 4]);
});

const twins: ReadonlyMap<string, (s: Step) => Value> = new Map([
  [
    "keys that are read before",
    (s) => {
      const b = s.arena.build;
      const sums = b.reduceSum(s.keys, { axes: [2], keepDims: true });
      return attended(s, b.mul(s.q, sums), s.keys, s.values);
    },
  ],
  [
    "values of before after the new ones",
    (s) => attended(s, s.q, s.keys, s.arena.build.concat(s.v, s.pastValues, { axis: 2 })),
  ],
  ["keys that are the values", (s) => attended(s, s.q, s.keys, s.keys)],
  [
    "three parts",
    ({ arena: { build: b }, ...s }) => {
      const [k, v] = [b.concat(s.pastKeys, s.k, s.k, { axis: 2 }), b.concat(s.pastValues, s.v, s.v, { axis: 2 })];
      const bias = b.reshape(b.reduceSum(s.q, { axes: [0, 1, 2, 3], keepDims: true }), { shape: [1, 1, 1, 1] });
      return b.attention(s.q, k, v, bias, { scale: 1 });
    },
  ],
]);

for (const [name, build] of twins)
  it(`not: ${name}`, async () => {
    const s = step({ past: 3, queries: 2 });
    const y = build(s);
    expect(takes(await run(s, [["y", y]]))).toBe(false);
  });

it("not: heads put together", async () => {
  const s = step({ past: 2, queries: 2, frozen: true });
  const wide = (x: Value, y: Value) => s.arena.build.concat(x, y, { axis: 1 });
  const [q, k, v] = [wide(s.q, s.q), wide(s.pastKeys, s.k), wide(s.pastValues, s.v)];
  expect(takes(await run(s, [["y", s.arena.build.attention(q, k, v, { scale: 1 })]]))).toBe(false);
});

it("not: a causal flag, which counts queries from the start", async () => {
  const s = step({ past: 0, queries: 5, frozen: true });
  const y = s.arena.build.attention(s.q, s.keys, s.values, { scale: 1, causal: true });
  expect(callOf((await run(s, [["y", y]])).graph).attributes.has("is_causal")).toBe(true);
  expect(takes(await run(s, [["y", y]]))).toBe(false);
});
