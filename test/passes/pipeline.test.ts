import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { symbol } from "../../src/ir/dim.ts";
import { type Graph, nodesOf, type Value } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { foldConstants } from "../../src/passes/fold-constants.ts";
import { printAfter, verifyEach } from "../../src/passes/instruments.ts";
import { kernelRefusal } from "../../src/passes/legalise.ts";
import { tallying } from "../../src/passes/pass.ts";
import { naive, optimise, passes, passesNamed, runPipeline } from "../../src/passes/pipeline.ts";
import { naiveTarget, onnxTarget, ortCpuTarget, targets } from "../../src/passes/target.ts";
import { randomGraph } from "../ir/support/random-graph.ts";
import { contextOf, difference, evaluated, feedsFor, sizesFor, weightsFor } from "./support/context.ts";

const verify = verifyEach((graph) => verifyGraph(graph));

/** Layers of attention, Add & Norm and feed-forward, everything spelled out by composites. */
function encoder(arena: Arena, layers: number, d = 16, heads = 2): Graph {
  const b = arena.build;
  const param = (name: string, shape: readonly number[]) => b.param({ name, dtype: "f32", shape });
  const input = b.input({ name: "x", dtype: "f32", shape: [symbol("batch"), symbol("seq"), d] });
  const linear = (x: Value, name: string, from: number, to: number) =>
    b.add(
      b.contract(x, param(`${name}.weight`, [from, to]), { spec: "b s i, i o -> b s o" }),
      param(`${name}.bias`, [to]),
    );
  const split = (x: Value) =>
    b.transpose(b.reshape(x, { shape: [symbol("batch"), symbol("seq"), heads, d / heads] }), { perm: [0, 2, 1, 3] });
  let x = input;
  for (let i = 0; i < layers; i++) {
    const [q, k, v] = ["q", "k", "v"].map((name) => split(linear(x, `${i}.${name}`, d, d))) as [Value, Value, Value];
    const scores = b.mul(b.einsum(q, k, { spec: "b h q d, b h k d -> b h q k" }), b.scalar((d / heads) ** -0.5, "f32"));
    const seen = b.einsum(b.softmax(scores), v, { spec: "b h q k, b h k d -> b h q d" });
    const merged = b.reshape(b.transpose(seen, { perm: [0, 2, 1, 3] }), { shape: [symbol("batch"), symbol("seq"), d] });
    const norm = (y: Value, name: string) => b.layerNorm(y, param(`${name}.gain`, [d]), param(`${name}.shift`, [d]));
    const middle = norm(b.add(x, linear(merged, `${i}.o`, d, d)), `${i}.n1`);
    const hidden = b.gelu(linear(middle, `${i}.up`, d, 2 * d));
    x = norm(b.add(middle, linear(hidden, `${i}.down`, 2 * d, d)), `${i}.n2`);
  }
  return graphOf("encoder", [input], [["y", x]]);
}

const countOf = (graph: Graph, op: string): number => nodesOf(graph).filter((node) => node.op === op).length;

describe("the optimising pipeline", () => {
  it("finds everything in an encoder, for each target, with equal results", async () => {
    const arena = new Arena();
    const graph = encoder(arena, 2);
    const weights = weightsFor(graph);
    const sizes = sizesFor(graph);
    const feeds = feedsFor(graph, sizes);
    const expected = evaluated(graph, sizes, feeds, weights).get("y")!;
    for (const target of [ortCpuTarget(), onnxTarget(17), onnxTarget(24)]) {
      const cx = contextOf({ arena, target, weights });
      const { graph: after } = await runPipeline(graph, optimise, cx, [verify]);
      expect(difference(expected, evaluated(after, sizes, feeds, weights).get("y")!)).toBeLessThan(1e-5);
      expect(countOf(after, "softmax")).toBe(target.contrib ? 0 : 2);
    }
    const { steps } = await runPipeline(graph, optimise, contextOf({ arena, weights, dims: sizes }));
    const fired = new Map(steps.flatMap(({ tally }) => [...tally.fired]));
    expect(fired.get("attention")).toBe(2);
    expect(fired.get("attention-packed-heads")).toBe(2);
    expect(fired.get("skip-layer-norm")).toBe(4);
    expect(fired.get("bias-gelu")).toBe(2);
    expect(fired.get("merge-projections")).toBe(2);
  });

  it("answers the same text every time", async () => {
    const texts = await Promise.all(
      [0, 1].map(async () => {
        const arena = new Arena();
        const graph = encoder(arena, 2);
        const cx = contextOf({ arena, weights: weightsFor(graph) });
        return printGraph((await runPipeline(graph, optimise, cx)).graph, { arena });
      }),
    );
    expect(texts[1]).toBe(texts[0]);
  });

  it("keeps the meaning of random graphs, and answers unchanged graphs as they are", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const arena = new Arena();
      const graph = randomGraph(arena, seed, 25);
      const weights = weightsFor(graph);
      const sizes = sizesFor(graph);
      const feeds = feedsFor(graph, sizes);
      const cx = contextOf({ arena, weights });
      const { graph: after } = await runPipeline(graph, optimise, cx, [verify]);
      const expected = evaluated(graph, sizes, feeds, weights);
      for (const [name, value] of evaluated(after, sizes, feeds, weights))
        expect(difference(expected.get(name)!, value), `${name}, seed ${seed}`).toBeLessThan(1e-4);
      for (const pass of passes) {
        const once = await pass.run(graph, { ...cx, report: tallying().report });
        expect(await pass.run(once, { ...cx, report: tallying().report }), `${pass.name}, seed ${seed}`).toBe(once);
      }
    }
  });

  it("takes models of 10,000 nodes", async () => {
    const arena = new Arena();
    const graph = encoder(arena, 250);
    expect(nodesOf(graph).length).toBeGreaterThan(10_000);
    const { graph: after } = await runPipeline(graph, optimise, contextOf({ arena }));
    expect(countOf(after, "packedAttention")).toBe(250);
  });
});

describe("running passes", () => {
  const small = () => {
    const arena = new Arena();
    return { arena, graph: encoder(arena, 1) };
  };

  it("spells out only what plain ONNX lacks", async () => {
    const { arena, graph } = small();
    const { graph: after } = await runPipeline(graph, naive, contextOf({ arena, target: naiveTarget() }), [verify]);
    const names = new Set(nodesOf(after).map(({ op }) => op));
    expect(names).toContain("einsum");
    expect(names).toContain("layerNorm");
    expect(names).not.toContain("gelu");
  });

  it("tells instruments about every pass", async () => {
    const { arena, graph } = small();
    const seen: string[] = [];
    const list = passesNamed(["canonicalise", "fuse-attention"]);
    await runPipeline(graph, list, contextOf({ arena }), [
      printAfter(["all"], ({ pass, index }) => void seen.push(`${index} ${pass.name}`)),
      printAfter(["fuse-attention"], ({ pass }) => void seen.push(`only ${pass.name}`)),
    ]);
    expect(seen).toEqual(["0 canonicalise", "1 fuse-attention", "only fuse-attention"]);
  });

  it("refuses a pass there is not", () => {
    expect(() => passesNamed(["canonicalize"])).toThrow(/there is no pass "canonicalize"/);
  });

  it("says in which pass something failed, and tells instruments", async () => {
    const { arena, graph } = small();
    const failed: string[] = [];
    const broken = {
      name: "broken",
      doc: "",
      run: () => arena.build.neg(graph.inputs[0]!) && passesNamed(["x"]),
    } as never;
    const run = runPipeline(graph, [broken], contextOf({ arena }), [{ failed: (pass) => void failed.push(pass.name) }]);
    await expect(run).rejects.toMatchObject({ details: { notes: ["in the pass broken"] } });
    expect(failed).toEqual(["broken"]);
  });
});

describe("targets", () => {
  it("are known by name", () => {
    expect([...targets.keys()]).toEqual(["onnx", "ort-cpu"]);
    expect(targets.get("onnx")!(17).kernels.has("gelu")).toBe(false);
    expect(targets.get("onnx")!(20).kernels.has("gelu")).toBe(true);
    expect(targets.get("onnx")!(24).kernels.has("attention")).toBe(false);
  });

  it.each([
    [{ scale: -1 }, /positive scale/],
    [{ scale: 0 }, /positive scale/],
    [{ scale: 1, normaliser: "none" }, /softmax only/],
  ])("refuse attention with %j", (attrs, reason) => {
    const { build } = new Arena();
    const q = build.input({ name: "q", dtype: "f32", shape: [1, 1, 3, 4] });
    expect(kernelRefusal(build.attention(q, q, q, attrs).node, ortCpuTarget())).toMatch(reason);
  });

  it("refuse kernels in float64", () => {
    const { build } = new Arena();
    const q = build.input({ name: "q", dtype: "f64", shape: [1, 1, 3, 4] });
    expect(kernelRefusal(build.attention(q, q, q, { scale: 1 }).node, ortCpuTarget())).toMatch(/f64/);
  });
});

describe("fold-constants", () => {
  it("gives large products to the runtime, small ones to the reference", async () => {
    const arena = new Arena();
    const b = arena.build;
    const [p, q] = ["p", "q"].map((name) => b.param({ name, dtype: "f32", shape: [200, 200] })) as [Value, Value];
    const large = b.contract(p, q, { spec: "i k, k j -> i j" });
    const small = b.neg(b.param({ name: "r", dtype: "f32", shape: [200] }));
    const x = b.input({ name: "x", dtype: "f32", shape: [200, 200] });
    const graph = graphOf("g", [x], [["y", b.add(b.add(x, large), small)]]);
    const asked: Value[] = [];
    const runtime = {
      evaluate: (values: readonly Value[]) => {
        asked.push(...values);
        return Promise.resolve(values.map(() => fromNumbers("f32", [200, 200], new Float64Array(40_000))));
      },
    };
    const cx = { ...contextOf({ arena, weights: weightsFor(graph) }), runtime, report: tallying().report };
    const after = await foldConstants.run(graph, cx);
    expect(asked).toEqual([large]);
    expect(nodesOf(after).filter(({ op }) => op === "constant")).toHaveLength(2);
    expect(nodesOf(after).some(({ op }) => op === "param")).toBe(false);
  });

  it("leaves to the runtime what rounds otherwise in float32", async () => {
    const arena = new Arena();
    const b = arena.build;
    // 10 · 0.7 is 7 in float32, and less in float64: the nearest float32 to 0.7 is.
    const placesUpTo = (size: number) => {
      const scaled = b.mul(b.iota({ size, dtype: "f32" }), b.scalar(0.7, "f32"));
      return b.add(b.input({ name: `x${size}`, dtype: "i64", shape: [size] }), b.cast(scaled, { to: "i64" }));
    };
    const folds = async (value: Value) => {
      const graph = graphOf("g", [value.node.operands[0]!], [["y", value]]);
      const after = await foldConstants.run(graph, { ...contextOf({ arena }), report: tallying().report });
      return !nodesOf(after).some(({ op }) => op === "cast");
    };
    expect(await folds(placesUpTo(10))).toBe(true);
    expect(await folds(placesUpTo(11))).toBe(false);
  });
});
