import { describe, expect, test } from "vitest";
import { Arena, attrsOf, graphOf, opDef } from "../../src/ir/arena.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { symbol } from "../../src/ir/dim.ts";
import { nodesOf, topological, useCount, usesOf, type Value } from "../../src/ir/graph.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error.code;
    throw error;
  }
  return "nothing thrown";
};

describe("equal nodes are one node", () => {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f32", shape: [symbol("S"), 3] });
  const y = b.input({ name: "y", dtype: "f32", shape: [symbol("S"), 3] });

  test("by op, operands in order, and attributes, defaults filled in", () => {
    expect(b.add(x, y)).toBe(b.add(x, y));
    expect(b.add(x, y)).not.toBe(b.add(y, x));
    expect(b.softmax(x)).toBe(b.softmax(x, { axis: -1 }));
    expect(b.softmax(x)).not.toBe(b.softmax(x, { axis: 0 }));
    expect(b.input({ name: "x", dtype: "f32", shape: [symbol("S"), 3] })).toBe(x);
    expect(b.input({ name: "x", dtype: "f32", shape: [symbol("T"), 3] })).not.toBe(x);
  });

  test("small constants by content, large ones by identity", () => {
    // 64 KiB and an element more.
    const [small, large] = [2 ** 14, 2 ** 14 + 1].map(
      (n) => () => b.constant({ value: fromNumbers("f32", [n], new Array<number>(n).fill(1)) }),
    );
    expect(small!()).toBe(small!());
    expect(large!()).not.toBe(large!());
    const value = fromNumbers("f32", [2 ** 15], new Array<number>(2 ** 15).fill(1));
    expect(b.constant({ value })).toBe(b.constant({ value }));
    expect(b.scalar(0, "f32")).not.toBe(b.scalar(-0, "f32"));
    expect(b.scalar(1, "f32")).not.toBe(b.scalar(1, "f64"));
    expect(b.scalar(Number.NaN, "f32")).toBe(b.scalar(Number.NaN, "f32"));
  });

  test("names cannot forge one another's keys", () => {
    const one = b.input({ name: 'a"|dtype=f32', dtype: "f32", shape: [] });
    const two = b.input({ name: "a", dtype: "f32", shape: [] });
    expect(one).not.toBe(two);
  });

  test("rebuilding with the same operands is the node itself", () => {
    const sum = b.add(x, y);
    expect(arena.rebuild(sum.node, [x, y])).toBe(sum.node);
    expect(arena.rebuild(sum.node, [y, x])).toBe(b.add(y, x).node);
  });
});

describe("what is refused", () => {
  const arena = new Arena();
  const x = arena.build.input({ name: "x", dtype: "f32", shape: [3] });

  test.each([
    ["an op that is not", "relux", {}, "QKV211"],
    ["an op every object has", "constructor", {}, "QKV211"],
    ["an unknown attribute", "softmax", { axes: 1 }, "QKV212"],
    ["an attribute of another kind", "softmax", { axis: 0.5 }, "QKV212"],
    ["an attribute that is NaN", "softmax", { axis: Number.NaN }, "QKV212"],
    ["a missing attribute", "reshape", {}, "QKV212"],
    ["an attribute every object has", "softmax", { constructor: 1 }, "QKV212"],
    ["a bool that is a number", "reduceSum", { axes: [0], keepDims: 1 }, "QKV212"],
    ["a dtype that is not", "cast", { to: "f8" }, "QKV212"],
    ["a dimension that is a fraction", "reshape", { shape: [1.5, 2] }, "QKV212"],
    ["a list with a hole", "reduceSum", { axes: [undefined] }, "QKV212"],
    ["a contraction that is none", "contract", { spec: "i" }, "QKV214"],
    ["a result label no operand has", "contract", { spec: "i -> j" }, "QKV214"],
    ["a result label twice", "contract", { spec: "i -> i i" }, "QKV214"],
    ["a label that is no word", "contract", { spec: "i. -> i" }, "QKV214"],
  ] as const)("%s", (_, op, attrs, code) => {
    expect(codeOf(() => arena.node(op, [x], attrs))).toBe(code);
  });

  test("too few and too many operands", () => {
    expect(codeOf(() => arena.node("add", [x]))).toBe("QKV213");
    expect(codeOf(() => arena.node("exp", [x, x]))).toBe("QKV213");
    expect(codeOf(() => arena.node("layerNorm", [x, x, x, x]))).toBe("QKV213");
    expect(codeOf(() => arena.node("contract", [], { spec: "i -> i" }))).toBe("QKV210");
  });

  test("attributes read as those of another op are our mistake", () => {
    expect(attrsOf(arena.build.softmax(x).node, "softmax").axis).toBe(-1);
    expect(codeOf(() => attrsOf(arena.build.exp(x).node, "softmax"))).toBe("QKV901");
    expect(opDef("softmax").name).toBe("softmax");
  });
});

describe("hints", () => {
  const location = { file: "m.ts", line: 1, column: 2 };

  test("the first name stays, what is missing is added, nodes stay the same", () => {
    const arena = new Arena();
    const x = arena.build.input({ name: "x", dtype: "f32", shape: [3] });
    const y = arena.build.exp(x);
    expect(arena.hintOf(y)).toEqual({});
    arena.hint(y, { name: "first" });
    arena.hint(y, { name: "second", location });
    expect(arena.hintOf(y)).toEqual({ name: "first", location });
    expect(arena.build.exp(x)).toBe(y);
    const z = arena.build.neg(x);
    arena.inherit(y, z);
    expect(arena.hintOf(z)).toEqual({ name: "first", location });
    arena.inherit(x, z);
    expect(arena.hintOf(z).name).toBe("first");
  });
});

describe("walking", () => {
  test("operands come before users, each node once", () => {
    const { build: b } = new Arena();
    const x = b.input({ name: "x", dtype: "f32", shape: [3] });
    const y = b.add(b.exp(x), b.exp(x));
    const order = topological([b.neg(y), y]);
    expect(order.map(({ op }) => op)).toEqual(["input", "exp", "add", "neg"]);
  });

  test("uses are counted, outputs among them, a value used twice twice", () => {
    const { build: b } = new Arena();
    const x = b.input({ name: "x", dtype: "f32", shape: [3] });
    const y = b.exp(x);
    const graph = graphOf(
      "g",
      [x],
      [
        ["y", y],
        ["z", b.mul(y, y)],
      ],
    );
    const uses = usesOf(graph);
    expect(useCount(uses, y)).toBe(3);
    expect(useCount(uses, x)).toBe(1);
  });

  test("a chain of 50,000 nodes, and as many ways through it as there are none to count", () => {
    const { build: b } = new Arena();
    const x = b.input({ name: "x", dtype: "f32", shape: [3] });
    let value: Value = x;
    for (let i = 0; i < 50_000; i++) value = b.add(value, value);
    expect(nodesOf(graphOf("g", [x], [["y", value]])).length).toBe(50_001);
  });
});
