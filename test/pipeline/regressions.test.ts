import { describe, expect, it } from "vitest";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import { memoryStore } from "../../src/backends/weights/store.ts";
import { compile } from "../../src/compile.ts";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena, type Build, graphOf } from "../../src/ir/arena.ts";
import { costOf } from "../../src/ir/cost.ts";
import { evaluate, symbol } from "../../src/ir/dim.ts";
import type { DType } from "../../src/ir/dtype.ts";
import { type Graph, nodesOf, type Value } from "../../src/ir/graph.ts";
import { defaultPassOptions } from "../../src/passes/pass.ts";
import { optimise, runPipeline } from "../../src/passes/pipeline.ts";
import { ortCpuTarget } from "../../src/passes/target.ts";
import { reference } from "../../src/reference.ts";
import { runModel } from "../../src/session.ts";
import { checkCompiled } from "./support/differential.ts";

const S = symbol("S");
const noWeights = memoryStore(new Map());

function built(dims: readonly (number | typeof S)[], body: (b: Build, x: Value) => readonly Value[]) {
  const arena = new Arena();
  const x = arena.build.input({ name: "x", dtype: "f32", shape: dims });
  const values = body(arena.build, x);
  const inputs = nodesOf(
    graphOf(
      "g",
      [],
      values.map((value, i) => [`y${i}`, value] as const),
    ),
  )
    .filter(({ op }) => op === "input")
    .map((node) => node.results[0]!);
  const graph = graphOf(
    "g",
    inputs,
    values.map((value, i) => [`y${i}`, value] as const),
  );
  return { arena, graph, weights: new Map() };
}

const opsOf = (graph: Graph) => nodesOf(graph).map(({ op }) => op);

async function problems(make: () => ReturnType<typeof built>, lengths: readonly number[]): Promise<string[]> {
  const found: string[] = [];
  const at = lengths.map((length) => new Map([["S", length]]));
  for (const target of ["onnx", "ort-cpu"])
    await checkCompiled(make, { target, opset: 23 }, at, (problem) => found.push(`${target}: ${problem}`));
  return found;
}

describe("wrong results that were", () => {
  it("a sum over an open length divided by a number is no mean", async () => {
    const make = () =>
      built([2, S, 8], (b, x) => [b.div(b.reduceSum(x, { axes: [1], keepDims: true }), b.scalar(8, "f32"))]);
    expect(await problems(make, [1, 5, 8])).toEqual([]);
    const { graph } = await compile(make(), { weights: noWeights });
    expect(opsOf(graph)).not.toContain("reduceMean");
  });

  it("causal attention of a single head is cut into parts the runtime takes", async () => {
    const { arena, graph } = built([S, 1, symbol("L"), 4], (b, x) => [
      b.attention(x, x, x, { scale: 0.5, causal: true }),
    ]);
    const dims = new Map([
      ["S", 2],
      ["L", 512],
    ]);
    const feeds = randomFeeds(graph, dims, 0);
    const compiled = await compile({ arena, graph }, { hints: dims });
    expect(opsOf(compiled.graph)).toContain("if");
    const actual = await runModel(compiled.onnx(), feeds);
    expect(compareOutputs(reference(graph, feeds, noWeights), actual).equal).toBe(true);
  });

  it.each([-1e4, -1e9, -3.4028234663852886e38])("a row that a mask of %f hides weighs all keys alike", async (fill) => {
    const make = () =>
      built([1, 2, S, 4], (b, x) => {
        const mask = b.input({ name: "mask", dtype: "bool" as DType, shape: [1, 1, S, S] });
        const scores = b.contract(x, x, { spec: "b h q d, b h k d -> b h q k" });
        const probs = b.softmax(b.select(mask, scores, b.scalar(fill, "f32")));
        return [b.contract(probs, x, { spec: "b h q k, b h k d -> b h q d" })];
      });
    expect(await problems(make, [1, 3, 17])).toEqual([]);
    const { graph } = await compile(make(), { weights: noWeights });
    expect(opsOf(graph)).toContain("attention");
  });
});

describe("costs", () => {
  it("activations and norms cost no more fused than spelled out", async () => {
    const { graph, arena } = built([S, 8], (b, x) => {
      const gain = b.input({ name: "gain", dtype: "f32", shape: [8] });
      const silu = b.mul(x, b.sigmoid(x));
      const half = b.mul(silu, b.scalar(0.5, "f32"));
      const gelu = b.mul(half, b.add(b.erf(b.mul(silu, b.scalar(Math.SQRT1_2, "f32"))), b.scalar(1, "f32")));
      const square = b.reduceMean(b.mul(gelu, gelu), { axes: [-1], keepDims: true });
      return [b.mul(b.div(gelu, b.sqrt(b.add(square, b.scalar(1e-5, "f32")))), gain)];
    });
    const compiled = await compile({ graph, arena }, { weights: noWeights });
    expect(opsOf(compiled.graph)).toEqual(expect.arrayContaining(["silu", "gelu", "rmsNorm"]));
    const [before, after] = [graph, compiled.graph].map((each) => evaluate(costOf(each).flops, new Map([["S", 3]])));
    expect(after).toBeLessThanOrEqual(before!);
  });
});

/** Graphs of very many nodes: long, wide, of many outputs, and of many products of one input. */
const large: Readonly<Record<string, (b: Build, x: Value) => readonly Value[]>> = {
  "a chain of 100,000 sums": (b, x) => {
    let y = x;
    for (let i = 0; i < 100_000; i++) y = i % 2 === 0 ? b.sin(y) : b.add(x, y);
    return [y];
  },
  "a concatenation of 20,000 parts": (b, x) => {
    const parts = Array.from({ length: 20_000 }, (_, i) => b.mul(x, b.scalar(i + 0.5, "f32")));
    return [b.concat(...parts, { axis: 1 })];
  },
  "20,000 outputs": (b, x) => Array.from({ length: 20_000 }, (_, i) => b.sin(b.add(x, b.scalar(i, "f32")))),
  "2,000 projections of one input": (b, x) => {
    const weight = (i: number) => b.param({ name: `w${i}`, dtype: "f32", shape: [4, 2] });
    const parts = Array.from({ length: 2_000 }, (_, i) => b.contract(x, weight(i), { spec: "s i, i o -> s o" }));
    return [b.concat(...parts, { axis: 1 })];
  },
  "5,000 weights, each made of the one before": (b, x) => {
    let weight = b.param({ name: "w", dtype: "f32", shape: [4] });
    let y = x;
    for (let i = 0; i < 5_000; i++) {
      weight = b.tanh(weight);
      y = b.sin(b.add(y, weight));
    }
    return [y];
  },
};

describe("all passes come to an end on", () => {
  it.each(Object.keys(large))("%s", async (name) => {
    const { graph, arena } = built([S, 4], large[name]!);
    const cx = { arena, target: ortCpuTarget(), dims: new Map<string, number>(), options: defaultPassOptions };
    const result = await runPipeline(graph, optimise, cx);
    expect(result.graph.outputs).toHaveLength(graph.outputs.length);
  });
});
