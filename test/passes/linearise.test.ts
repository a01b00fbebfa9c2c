import { describe, expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import {
  abs,
  attention,
  einsum,
  input,
  iota,
  lessEqual,
  linear,
  model,
  not,
  reshape,
  heads as split,
  where,
} from "../../src/dsl/index.ts";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { costOf } from "../../src/ir/cost.ts";
import { evaluate, symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { substituteDType } from "../../src/ir/substitute.ts";
import { castTensor, fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

const [T, heads, width] = [symbol("T"), 2, 8];

interface Gates {
  readonly decay?: "one" | "each";
  readonly rate?: boolean;
}

/** A recurrence over inputs q, k, v, and g and r as far as there are gates. */
function recurrence({ decay, rate }: Gates) {
  const arena = new Arena();
  const b = arena.build;
  const of = (name: string, last: number) => b.input({ name, dtype: "f32", shape: [1, heads, T, last] });
  const gates = [...(decay ? [of("g", decay === "each" ? width : 1)] : []), ...(rate ? [of("r", 1)] : [])];
  const operands = [of("q", width), of("k", width), of("v", width), ...gates];
  const attrs = { scale: 1, decay: decay !== undefined, delta: rate ?? false };
  return {
    arena,
    graph: graphOf("recurrence", operands, [["y", arena.node("linearAttention", operands, attrs).results[0]!]]),
  };
}

const filled = (length: number, last: number, at: (t: number, c: number) => number): HostTensor => {
  const values = Array.from({ length: heads * length * last }, (_, i) => at(Math.floor(i / last) % length, i % last));
  return fromNumbers("f32", [1, heads, length, last], values);
};

/** Largest error of the chunks in float32, against the recurrence in float64, over the largest result. */
async function error(gates: Gates, length: number, given: Readonly<Record<string, HostTensor>>): Promise<number> {
  const declared = recurrence(gates);
  const feeds = randomFeeds(declared.graph, new Map([["T", length]]), 7);
  for (const [name, tensor] of Object.entries(given)) feeds.set(name, tensor);
  const expected = evaluateGraph(declared.graph, feeds).get("y")!.data;
  const compiled = await compile(declared, { dims: new Map([["T", length]]) });
  expect(compiled.steps.flatMap(({ tally }) => [...tally.fired.keys()])).toContain("chunk-recurrence");
  const actual = toFloat64((await runModel(compiled.onnx(), feeds)).get("y")!);
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return actual.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0) / largest;
}

const length = 257;
const unitKey = filled(length, width, () => 1 / Math.sqrt(width));
const half = filled(length, 1, () => 0.5);

describe("numbers", () => {
  // Powers of what keys find of one another grow like binomials before they cancel: with these they leave nothing right.
  test("keys that are all alike, replaced wholly", async () => {
    expect(await error({ rate: true }, length, { k: unitKey, r: filled(length, 1, () => 1) })).toBeLessThan(1e-5);
  });

  test("keys that are all alike, a state that fades", async () => {
    const g = filled(length, 1, () => -0.01);
    expect(await error({ decay: "one", rate: true }, length, { k: unitKey, r: half, g })).toBeLessThan(1e-5);
  });

  test.each(["one", "each"] as const)("gates that close wholly, now and then: %s", async (decay) => {
    const g = filled(length, decay === "one" ? 1 : width, (t, c) =>
      (t + c) % 5 === 0 ? Number.NEGATIVE_INFINITY : -0.1,
    );
    // A closed gate counts as -104 in the sums, of which float32 keeps seven digits.
    expect(await error({ decay }, length, { g })).toBeLessThan(1e-4);
  });

  test.each(["one", "each"] as const)("gates that nearly close at every step: %s", async (decay) => {
    const g = filled(length, decay === "one" ? 1 : width, (t) => -20 - (t % 3));
    expect(await error({ decay }, length, { g })).toBeLessThan(2e-5);
  });

  test("a long sequence with a slow decay", async () => {
    const g = filled(2049, width, (t, c) => -0.0005 * (1 + ((t + c) % 4)));
    expect(await error({ decay: "each" }, 2049, { g })).toBeLessThan(2e-5);
  });
});

test("cost is linear in the length", async () => {
  for (const gates of [{}, { decay: "one" }, { decay: "each" }, { rate: true }] as const) {
    const at = async (n: number) => {
      const { graph } = await compile(recurrence(gates), { hints: new Map([["T", n]]) });
      return evaluate(costOf(graph).flops, new Map([["T", n]]));
    };
    expect((await at(8192)) / (await at(1024))).toBeCloseTo(8, 6);
  }
});

test.each(["one", "each"] as const)("in float16 the sums of decays are exact: %s", async (decay) => {
  const { arena, graph } = recurrence({ decay });
  const half = substituteDType(arena, graph, "f32", "f16");
  const dims = new Map([["T", 65]]);
  const feeds = randomFeeds(half, dims, 9);
  const strong = filled(65, decay === "one" ? 1 : width, (t) => (t % 7 === 0 ? -40 : -0.02));
  feeds.set("g", castTensor(strong, "f16"));
  const expected = evaluateGraph(half, feeds).get("y")!.data;
  const compiled = await compile({ arena, graph: half }, { dims });
  const actual = toFloat64((await runModel(compiled.onnx(), feeds)).get("y")!);
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  // Ten roundings of float16.
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value) / largest).toBeLessThan(1e-2);
});

describe("masked keys", () => {
  /** Weights q · k of the keys a query sees, over their sum; 0 where it sees none. */
  function written(
    feeds: ReadonlyMap<string, HostTensor>,
    size: number,
    sees: (b: number, i: number, j: number) => boolean,
  ) {
    const [q, k, v] = ["q", "k", "v"].map((name) => toFloat64(feeds.get(name)!)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const at = (x: Float64Array, bh: number, i: number, c: number) => Math.abs(x[(bh * size + i) * 4 + c]!);
    const out: number[] = [];
    for (let bh = 0; bh < 2 * heads; bh++)
      for (let i = 0; i < size; i++) {
        const found = [0, 0, 0, 0];
        let total = 0;
        for (let j = 0; j < size; j++) {
          if (!sees(Math.floor(bh / heads), i, j)) continue;
          let weight = 0;
          for (let c = 0; c < 4; c++) weight += at(q, bh, i, c) * at(k, bh, j, c);
          total += weight;
          for (let c = 0; c < 4; c++) found[c]! += weight * v[(bh * size + j) * 4 + c]!;
        }
        out.push(...found.map((value) => (total === 0 ? 0 : value / total)));
      }
    return out;
  }

  const masked = (isCausal: boolean) =>
    model("masked", {}, () => {
      const [q, k, v] = (["q", "k", "v"] as const).map((name) => input(name, "f32", ["batch", heads, "seq", 4]));
      const lengths = input("lengths", "i64", ["batch"]);
      const hidden = input("hidden", "bool", ["batch", 1, 1, "seq"]);
      const y = attention(abs(q!), abs(k!), v!, {
        normaliser: "sum",
        causal: isCausal,
        mask: ({ b, k }) => k < lengths[b]!,
      });
      const z = attention(abs(q!), abs(k!), v!, { normaliser: "sum", causal: isCausal, mask: not(hidden) });
      return { y, z };
    });

  test.each([true, false])("causal: %s; a row that sees none is 0", async (isCausal) => {
    const declared = masked(isCausal);
    for (const size of [17, 257])
      for (const options of [{}, { dims: new Map([["seq", size]]) }]) {
        const compiled = await compile(declared, options);
        const feeds = randomFeeds(
          compiled.declared,
          new Map([
            ["batch", 2],
            ["seq", size],
          ]),
          5,
        );
        const hidden = Array.from({ length: 2 * size }, (_, i) => Number(i < 3 || i % 3 === 0 || i > size + 9));
        feeds.set("lengths", fromNumbers("i64", [2], [0, size - 4]));
        feeds.set("hidden", fromNumbers("bool", [2, 1, 1, size], hidden));
        const out = await runModel(compiled.onnx(), feeds);
        const seen = {
          y: (b: number, j: number) => j < [0, size - 4][b]!,
          z: (b: number, j: number) => hidden[b * size + j] === 0,
        };
        for (const name of ["y", "z"] as const) {
          const expected = written(feeds, size, (b, i, j) => seen[name](b, j) && (!isCausal || j <= i));
          const found = toFloat64(out.get(name)!);
          expected.forEach((value, i) => expect(Math.abs(found[i]! - value)).toBeLessThan(2e-5));
        }
      }
  });

  test("are found", async () => {
    const { steps } = await compile(masked(true), { dims: new Map([["seq", 257]]) });
    expect(steps.find(({ pass }) => pass.name === "linearise")!.tally.fired.get("chunk-attention")).toBe(2);
  });
});

describe("products spelled out", () => {
  const spelled = model("spelled", {}, () => {
    const x = input("x", "f32", ["batch", "seq", 8]);
    const [q, k, v] = ["q", "k", "v"].map((name) => split(linear(x, 8, { name, bias: false }), 2));
    const [rows, columns] = [reshape(iota("seq"), ["seq", 1]), reshape(iota("seq"), [1, "seq"])];
    const scores = einsum("b h q d, b h k d -> b h q k", q!, k!).mul(0.5);
    const y = einsum("b h q k, b h k e -> b q h e", where(lessEqual(columns, rows), scores, 0), v!);
    return { y };
  });

  test.each([17, 257])("length %i: right, and no more nodes than as products where it is short", async (seq) => {
    for (const options of [{}, { dims: new Map([["seq", seq]]) }]) {
      const compiled = await compile(spelled, options);
      const fired = compiled.steps.flatMap(({ tally }) => [...tally.fired.keys()]);
      expect(fired.includes("causal-products")).toBe(!("dims" in options) || seq > 128);
      const feeds = randomFeeds(
        compiled.declared,
        new Map([
          ["batch", 2],
          ["seq", seq],
        ]),
        3,
      );
      const expected = evaluateGraph(compiled.declared, feeds, { weights: compiled.weights }).get("y")!.data;
      const found = toFloat64((await runModel(compiled.onnx(), feeds)).get("y")!);
      const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value) / largest).toBeLessThan(2e-5);
    }
    const short = { dims: new Map([["seq", 17]]) };
    const nodes = async (without: readonly string[]) =>
      (await compile(spelled, { ...short, without: new Set(without) })).onnx().graph.nodes.length;
    expect(await nodes([])).toBeLessThanOrEqual(await nodes(["causal-products"]));
  });
});
