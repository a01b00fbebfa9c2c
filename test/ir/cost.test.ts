import { expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { foldableNodes } from "../../src/ir/constness.ts";
import { costOf, flopsOf, trafficOf } from "../../src/ir/cost.ts";
import { show, symbol } from "../../src/ir/dim.ts";
import { nodesOf } from "../../src/ir/graph.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";

const arena = new Arena();
const b = arena.build;
const S = symbol("S");
const x = b.input({ name: "x", dtype: "f32", shape: [S, 4] });
const w = b.param({ name: "w", dtype: "f32", shape: [4, 8] });
const v = b.param({ name: "v", dtype: "f16", shape: [8, 4] });

const isFoldable = (value: typeof x) => foldableNodes(graphOf("g", [], [["y", value]])).has(value.node);

test("a product counts two operations per multiply-add", () => {
  const y = b.contract(x, w, { spec: "s i, i j -> s j" });
  const cost = costOf(graphOf("g", [x], [["y", y]]));
  expect(show(cost.flops)).toBe("64*S");
  expect(show(cost.bytes)).toBe("48*S + 128");
  expect(cost).toMatchObject({ nodes: 1, params: 32, paramBytes: 128, heldBytes: 128 });
});

test("the order of a product of three is in its cost", () => {
  const spec = (order: string) => `${order} -> s k`;
  const left = b.contract(x, w, b.cast(v, { to: "f32" }), { spec: spec("s i, i j, j k") });
  const right = b.contract(w, b.cast(v, { to: "f32" }), x, { spec: spec("i j, j k, s i") });
  expect(show(flopsOf(left.node))).toBe("128*S");
  expect(show(flopsOf(right.node))).toBe("32*S + 256");
});

test("what weights alone decide is computed ahead and costs its bytes", () => {
  const absorbed = b.contract(w, b.cast(v, { to: "f32" }), { spec: "i j, j k -> i k" });
  const y = b.contract(x, absorbed, { spec: "s i, i k -> s k" });
  const graph = graphOf("g", [x], [["y", y]]);
  const cost = costOf(graph);
  expect(show(cost.flops)).toBe("32*S");
  expect(cost).toMatchObject({ nodes: 1, params: 64, paramBytes: 192, heldBytes: 64 });
  expect(show(costOf(graph, { foldable: new Set() }).flops)).toBe("32*S + 256");
  expect(isFoldable(absorbed)).toBe(true);
  expect(isFoldable(y)).toBe(false);
  expect([...foldableNodes(graph)].map(({ op }) => op).toSorted()).toEqual(["cast", "contract", "param", "param"]);
});

test("symbols keep a value from being computed ahead, wherever they are", () => {
  const constant = b.constant({ value: fromNumbers("f32", [2, 1], [1, 2]) });
  const negated = (value: typeof x) => graphOf("in", [], [["z", value]]);
  const whenTrue = negated(constant);
  const choose = (value: typeof x) => b.if(b.scalar(1, "bool"), { whenTrue, whenFalse: negated(value) });
  expect(isFoldable(b.iota({ size: 5 }))).toBe(true);
  expect(isFoldable(b.iota({ size: S }))).toBe(false);
  expect(isFoldable(b.size({ of: 5 }))).toBe(true);
  expect(isFoldable(b.size({ of: S }))).toBe(false);
  expect(isFoldable(b.broadcast(constant, { shape: [2, S] }))).toBe(false);
  expect(isFoldable(b.slice(b.broadcast(constant, { shape: [2, 9] }), { axis: 1, start: S, end: S }))).toBe(false);
  expect(isFoldable(choose(b.neg(constant)))).toBe(true);
  expect(isFoldable(choose(b.mul(constant, b.cast(b.size({ of: S }), { to: "f32" }))))).toBe(false);
});

test("leaves and reshape move nothing; an operand used twice is read once", () => {
  expect(trafficOf(x.node)).toBe(0);
  expect(trafficOf(b.reshape(x, { shape: [4, S] }).node)).toBe(0);
  expect(show(trafficOf(b.mul(x, x).node))).toBe("32*S");
  expect(show(flopsOf(b.mul(x, x).node))).toBe("4*S");
  expect(flopsOf(b.transpose(x, { perm: [1, 0] }).node)).toBe(0);
});

test("of two branches the dearer counts", () => {
  const c = b.input({ name: "c", dtype: "bool", shape: [] });
  const whenTrue = graphOf("yes", [x], [["z", b.exp(x)]]);
  const whenFalse = graphOf("no", [x], [["z", b.exp(b.neg(x))]]);
  const cost = costOf(graphOf("g", [c, x], [["z", b.if(c, x, { whenTrue, whenFalse })]]));
  expect(show(cost.flops)).toBe("8*S");
});

test("a value used often is counted once, and 50,000 nodes are added up", () => {
  let value = x;
  for (let i = 0; i < 50_000; i++) value = b.add(value, x);
  const graph = graphOf(
    "g",
    [x],
    [
      ["z", value],
      ["again", value],
    ],
  );
  expect(nodesOf(graph).length).toBe(50_001);
  expect(show(costOf(graph).flops)).toBe("200000*S");
});
