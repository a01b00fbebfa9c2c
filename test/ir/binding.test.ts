import { expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { inBindingOrder } from "../../src/ir/binding.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { add, mul, symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { type Graph, nodesOf } from "../../src/ir/graph.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { printGraph } from "../../src/ir/print.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { verifyGraph } from "../../src/ir/verify.ts";

const read = (text: string) => {
  const arena = new Arena();
  return { arena, graph: parseGraph(text, arena) };
};

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error.code;
    throw error;
  }
  return "nothing";
};

const x = (values: readonly number[]) => new Map([["x", fromNumbers("f32", [values.length], values)]]);
const mask = (values: readonly number[]) => new Map([["m", fromNumbers("bool", [values.length], values)]]);
const dataOf = (graph: Graph, feeds: Parameters<typeof evaluateGraph>[1]) =>
  [...evaluateGraph(graph, feeds).values()].map(({ dims, data }) => ({ dims, data: [...data] }));

const counted = `
graph @counted(%m: bool[n]) {
  %at: i64[t] = flatNonZero(%m) {count = t}
  %many: i64[] = size() {of = t}
  return %at, %many
}`;

test("a symbol is bound to how many are true, and reads as a number", () => {
  const { graph } = read(counted);
  verifyGraph(graph);
  expect(dataOf(graph, mask([1, 0, 1, 1]))).toEqual([
    { dims: [3], data: [0, 2, 3] },
    { dims: [], data: [3] },
  ]);
  expect(dataOf(graph, mask([0, 0]))).toEqual([
    { dims: [0], data: [] },
    { dims: [], data: [0] },
  ]);
});

test("what was said to be known is held against what ran", () => {
  const { graph } = read(
    counted.replace("i64[t] =", "i64[2] =").replace("count = t", "count = 2").replaceAll("of = t", "of = n"),
  );
  expect(dataOf(graph, mask([1, 0, 1]))[0]).toEqual({ dims: [2], data: [0, 2] });
  expect(codeOf(() => evaluateGraph(graph, mask([1, 1, 1])))).toBe("QKV242");
});

test("text and back", () => {
  const { arena, graph } = read(counted);
  const text = printGraph(graph, { arena });
  expect(printGraph(parseGraph(text, arena), { arena })).toBe(text);
});

test("leaves made before what binds their symbol wait for it", () => {
  const arena = new Arena();
  const b = arena.build;
  const t = symbol("t");
  const places = b.iota({ size: mul(2, t) });
  const twice = b.reduceSum(places, { axes: [0] });
  const m = b.input({ name: "m", dtype: "bool", shape: [symbol("n")] });
  const at = b.flatNonZero(m, { count: t });
  const graph = graphOf(
    "g",
    [m],
    [
      ["twice", twice],
      ["at", at],
    ],
  );
  verifyGraph(graph);
  const order = inBindingOrder(nodesOf(graph), ["n"]).order.map(({ op }) => op);
  expect(order.indexOf("iota")).toBeGreaterThan(order.indexOf("flatNonZero"));
  expect(dataOf(graph, mask([1, 1, 0]))[0]).toEqual({ dims: [], data: [0 + 1 + 2 + 3] });
});

test("refine names a size, and a formula of it is solved", () => {
  const { graph } = read(`
graph @named(%x: f32[n]) {
  %y: f32[2*half] = refine(%x)
  %pairs: f32[half, 2] = reshape(%y)
  return %pairs
}`);
  verifyGraph(graph);
  expect(dataOf(graph, x([1, 2, 3, 4]))).toEqual([{ dims: [2, 2], data: [1, 2, 3, 4] }]);
  expect(codeOf(() => evaluateGraph(graph, x([1, 2, 3])))).toBe("QKV242");
});

test("both branches name their own size, and the if binds it for what follows", () => {
  const arena = new Arena();
  const b = arena.build;
  const [n, k] = [symbol("n"), symbol("k")];
  const whole = b.input({ name: "x", dtype: "f32", shape: [n] });
  const captured = b.input({ name: "captured", dtype: "f32", shape: [n] });
  const twice = b.concat(captured, captured, { axis: 0 });
  const branches = {
    whenTrue: graphOf("twice", [captured], [["y", b.refine(twice, { shape: [k] })]]),
    whenFalse: graphOf("once", [captured], [["y", b.refine(captured, { shape: [k] })]]),
  };
  const isShort = b.less(b.size({ of: n }), b.scalar(3, "i64"));
  const chosen = arena.node("if", [isShort, whole], branches).results[0]!;
  const graph = graphOf("g", [whole], [["y", b.add(chosen, b.cast(b.iota({ size: k }), { to: "f32" }))]]);
  verifyGraph(graph);
  expect(dataOf(graph, x([5, 6]))).toEqual([{ dims: [4], data: [5, 7, 7, 9] }]);
  expect(dataOf(graph, x([5, 6, 7]))).toEqual([{ dims: [3], data: [5, 7, 9] }]);
});

test("what is bound in a branch is not known around it", () => {
  const arena = new Arena();
  const b = arena.build;
  const [n, k] = [symbol("n"), symbol("k")];
  const whole = b.input({ name: "x", dtype: "f32", shape: [n] });
  const captured = b.input({ name: "captured", dtype: "f32", shape: [n] });
  const sum = b.reduceSum(b.refine(captured, { shape: [k] }), { axes: [0] });
  const graph = (around: boolean) => {
    const branch = graphOf("branch", [captured], [["y", sum]]);
    const node = arena.node("if", [b.less(b.size({ of: n }), b.scalar(3, "i64")), whole], {
      whenTrue: branch,
      whenFalse: branch,
    });
    const [y] = node.results;
    return graphOf("g", [whole], [["y", around ? b.mul(y!, b.cast(b.size({ of: k }), { to: "f32" })) : y!]]);
  };
  expect(codeOf(() => verifyGraph(graph(false)))).toBe("nothing");
  expect(codeOf(() => verifyGraph(graph(true)))).toBe("QKV236");
});

test("a symbol that cannot be solved for, or that nothing binds any more, is refused", () => {
  const arena = new Arena();
  const b = arena.build;
  const [n, k, l] = [symbol("n"), symbol("k"), symbol("l")];
  const whole = b.input({ name: "x", dtype: "f32", shape: [n] });
  const of = (value: typeof whole) => () => verifyGraph(graphOf("g", [whole], [["y", value]]));
  expect(codeOf(of(b.refine(whole, { shape: [add(k, l)] })))).toBe("QKV236");
  expect(codeOf(of(b.refine(whole, { shape: [mul(k, k)] })))).toBe("QKV236");
  expect(codeOf(of(b.iota({ size: k })))).toBe("QKV236");
});
