import { describe, expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { symbol } from "../../src/ir/dim.ts";
import { parseDim } from "../../src/ir/dim-parse.ts";
import { type EvaluateOptions, evaluateGraph, evaluateValues } from "../../src/ir/evaluate.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";

const zeros = (...dims: number[]) =>
  fromNumbers("f32", dims, new Array<number>(dims.reduce((a, b) => a * b, 1)).fill(0));
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error.code;
    throw error;
  }
  return "nothing thrown";
};

/** Inputs of these shapes; outputs their exponentials. */
function shaped(...shapes: readonly (readonly string[])[]): Graph {
  const { build } = new Arena();
  const inputs = shapes.map((shape, i) => build.input({ name: `x${i}`, dtype: "f32", shape: shape.map(parseDim) }));
  return graphOf(
    "g",
    inputs,
    inputs.map((value, i) => [`y${i}`, build.exp(value)]),
  );
}
const feed = (...tensors: HostTensor[]) => new Map(tensors.map((tensor, i) => [`x${i}`, tensor] as const));

describe("sizes of symbols", () => {
  test("follow from the feeds, in whatever order", () => {
    const { build } = new Arena();
    const [past, S] = [symbol("past"), symbol("S")];
    const cache = build.input({ name: "cache", dtype: "f32", shape: [parseDim("past + S")] });
    const x = build.input({ name: "x", dtype: "f32", shape: [S] });
    const out = build.slice(cache, { axis: 0, start: past, end: parseDim("past + S") });
    const graph = graphOf(
      "g",
      [cache, x],
      [
        ["out", out],
        ["past", build.size({ of: past })],
      ],
    );
    const results = evaluateGraph(
      graph,
      new Map([
        ["x", zeros(2)],
        ["cache", fromNumbers("f32", [7], [0, 1, 2, 3, 4, 5, 6])],
      ]),
    );
    expect([...results.get("out")!.data]).toEqual([5, 6]);
    expect([...results.get("past")!.data]).toEqual([5]);
  });

  test.each([
    ["another rank", [["S"]], [zeros(2, 2)]],
    ["another size", [["3"]], [zeros(4)]],
    ["one symbol, two sizes", [["S", "S"]], [zeros(2, 3)]],
    ["two inputs that disagree", [["S"], ["S + 1"]], [zeros(2), zeros(2)]],
    ["an odd size for an even dimension", [["2*S"]], [zeros(3)]],
    ["a size that leaves less than nothing", [["S + 2"]], [zeros(1)]],
    ["a product that is not", [["S", "B", "B*S"]], [zeros(2, 3, 5)]],
  ])("%s", (_, shapes, tensors) => {
    expect(codeOf(() => evaluateGraph(shaped(...shapes), feed(...tensors)))).toBe("QKV242");
  });

  test("given beside the feeds must agree with them", () => {
    const dims = new Map([["S", 2]]);
    expect(codeOf(() => evaluateGraph(shaped(["S"]), feed(zeros(3)), { dims }))).toBe("QKV242");
    expect(codeOf(() => evaluateGraph(shaped(["S"]), feed(zeros(2)), { dims }))).toBe("nothing thrown");
  });

  test("that nothing gives are named", () => {
    expect(codeOf(() => evaluateGraph(shaped(["past + S"]), feed(zeros(3))))).toBe("QKV205");
    expect(codeOf(() => evaluateGraph(shaped(["ceil(S/2)"]), feed(zeros(3))))).toBe("QKV205");
    expect(codeOf(() => evaluateGraph(shaped(["ceil(S/2)"]), feed(zeros(3)), { dims: new Map([["S", 5]]) }))).toBe(
      "nothing thrown",
    );
  });

  test("that make a dimension negative", () => {
    const { build } = new Arena();
    const x = build.input({ name: "x0", dtype: "f32", shape: [symbol("S")] });
    const graph = graphOf("g", [x], [["y", build.slice(x, { axis: 0, start: 3, end: symbol("S") })]]);
    expect(codeOf(() => evaluateGraph(graph, feed(zeros(2))))).toBe("QKV245");
    expect(evaluateGraph(graph, feed(zeros(3))).get("y")!.dims).toEqual([0]);
  });

  test("that make a tensor too large", () => {
    const { build } = new Arena();
    const x = build.input({ name: "x0", dtype: "f32", shape: [symbol("S")] });
    const graph = graphOf("g", [x], [["y", build.broadcast(build.scalar(0, "f32"), { shape: [parseDim("S^4")] })]]);
    expect(codeOf(() => evaluateGraph(graph, feed(zeros(1000))))).toBe("QKV244");
  });
});

describe("feeds and weights", () => {
  test("missing, unknown, of another element type", () => {
    expect(codeOf(() => evaluateGraph(shaped(["2"]), feed()))).toBe("QKV240");
    expect(codeOf(() => evaluateGraph(shaped(["2"]), feed(zeros(2), zeros(2))))).toBe("QKV241");
    expect(codeOf(() => evaluateGraph(shaped(["2"]), feed(fromNumbers("f64", [2], [1, 2]))))).toBe("QKV242");
  });

  test("names that objects have are names like any other", () => {
    const { build } = new Arena();
    const x = build.input({ name: "__proto__", dtype: "f32", shape: [1] });
    const graph = graphOf("g", [x], [["constructor", build.neg(x)]]);
    const out = evaluateGraph(graph, new Map([["__proto__", fromNumbers("f32", [1], [3])]]));
    expect([...out.get("constructor")!.data]).toEqual([-3]);
    expect(codeOf(() => evaluateGraph(graph, new Map()))).toBe("QKV240");
  });

  test("parameters are read by name, widened, and checked", () => {
    const { build } = new Arena();
    const graph = graphOf("g", [], [["y", build.param({ name: "w", dtype: "f32", shape: [2] })]]);
    const stored = (tensor: HostTensor): EvaluateOptions => ({ weights: { read: () => tensor } });
    const half = fromNumbers("f16", [2], [0.5, 0.1]);
    expect([...evaluateGraph(graph, new Map(), stored(half)).get("y")!.data]).toEqual([0.5, 0.0999755859375]);
    expect(codeOf(() => evaluateGraph(graph, new Map(), stored(zeros(3))))).toBe("QKV242");
    expect(codeOf(() => evaluateGraph(graph, new Map()))).toBe("QKV243");
  });
});

describe("control flow", () => {
  const arena = new Arena();
  const { build } = arena;
  const S = symbol("S");
  const c = build.input({ name: "c", dtype: "bool", shape: [] });
  const x = build.input({ name: "x", dtype: "f32", shape: [S] });
  const inner = build.input({ name: "x", dtype: "f32", shape: [S] });
  const whenTrue = graphOf("yes", [inner], [["y", build.softmax(inner)]]);
  const whenFalse = graphOf("no", [inner], [["y", build.mul(inner, build.cast(build.size({ of: S }), { to: "f32" }))]]);
  const graph = graphOf("g", [c, x], [["y", build.if(c, x, { whenTrue, whenFalse })]]);

  test.each([
    [1, [0.5, 0.5]],
    [0, [6, 6]],
  ])("condition %i", (condition, expected) => {
    const feeds = new Map([
      ["c", fromNumbers("bool", [], [condition])],
      ["x", fromNumbers("f32", [2], [3, 3])],
    ]);
    expect([...evaluateGraph(graph, feeds).get("y")!.data]).toEqual(expected);
  });
});

describe("values in the middle", () => {
  const { build } = new Arena();
  const x = build.input({ name: "x", dtype: "f32", shape: [3] });
  const middle = build.exp(x);
  const out = build.add(middle, build.neg(middle));

  test("may be asked for, twice, and inputs too", () => {
    const given = { dims: [3], data: Float64Array.of(0, 1, 2) };
    const results = evaluateValues([x, middle, out, middle], { inputs: new Map([[x, given]]) });
    expect(results[0]).toBe(given);
    expect(results[1]).toBe(results[3]);
    expect([...results[2]!.data]).toEqual([0, 0, 0]);
  });

  test("may be given, and then nothing below them is needed", () => {
    const given = new Map<Value, { dims: number[]; data: Float64Array }>([
      [middle, { dims: [3], data: Float64Array.of(1, 2, 3) }],
    ]);
    expect([...evaluateValues([build.mul(middle, middle)], { inputs: given })[0]!.data]).toEqual([1, 4, 9]);
  });

  test("constants need nothing", () => {
    const two = build.add(build.scalar(1, "f32"), build.scalar(1, "f32"));
    expect([...evaluateValues([two])[0]!.data]).toEqual([2]);
    expect(evaluateValues([])).toEqual([]);
  });
});

test("one result of several, and the rest unused", () => {
  const arena = new Arena();
  const x = arena.build.input({ name: "x", dtype: "f32", shape: [3] });
  const { results } = arena.node("split", [x], { axis: 0, sizes: [1, 2] });
  const graph = graphOf("g", [x], [["tail", results[1]!]]);
  expect([...evaluateGraph(graph, new Map([["x", fromNumbers("f32", [3], [1, 2, 3])]])).get("tail")!.data]).toEqual([
    2, 3,
  ]);
});
