import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { symbol } from "../../src/ir/dim.ts";
import { type Graph, nodesOf, type Value } from "../../src/ir/graph.ts";
import { canonicalise } from "../../src/passes/canonicalise.ts";
import { tallying } from "../../src/passes/pass.ts";
import { fuse } from "../../src/passes/rewrite/fuse.ts";
import { normalise } from "../../src/passes/rewrite/normalise.ts";
import { fusion, type Rule, rule } from "../../src/passes/rewrite/rule.ts";
import { a, any, c, t, where, x, y } from "../../src/passes/rewrite/term.ts";
import { contextOf } from "./support/context.ts";

function setup() {
  const arena = new Arena();
  const input = (name: string, shape: readonly (number | string)[] = ["n", 5]) =>
    arena.build.input({ name, dtype: "f32", shape: shape.map((dim) => (typeof dim === "string" ? symbol(dim) : dim)) });
  const collected = tallying();
  const cx = { ...contextOf({ arena }), report: collected.report };
  const run = (list: readonly Rule[], value: Value, how = normalise) => {
    const graph = graphOf("g", [], [["y", value]]);
    const after = how(graph, list, cx);
    return { value: after.outputs[0]!.value, same: after === graph, tally: collected.tally() };
  };
  return { arena, b: arena.build, input, cx, run };
}

describe("declaring a rule", () => {
  it("refuses a right side that uses what the left does not bind", () => {
    expect(() => rule({ name: "bad", left: t.neg(x), right: t.add(x, y) })).toThrow(/uses "y"/);
  });

  it("refuses a right side that uses what only one spelling binds", () => {
    const left = any(t.add(t.neg(x), y), t.neg(x));
    expect(() => rule({ name: "bad", left, right: t.add(x, y) })).toThrow(/uses "y"/);
  });

  it("refuses a left side that matches anything", () => {
    expect(() => rule({ name: "bad", left: x, right: x })).toThrow(/matches anything/);
  });

  it("refuses operands and attributes an op has not", () => {
    expect(() => t.neg(x, y)).toThrow(/gives neg 2 operands/);
    expect(() => t.softmax(x, { axes: [1] })).toThrow(/attribute "axes"/);
  });

  it("wants a formula where the right side is code", () => {
    expect(() => rule({ name: "bad", left: t.neg(x), right: (m) => m.value("x") })).toThrow(/needs a formula/);
  });
});

describe("matching", () => {
  it("tries both orders of a commutative op, and one of any other", () => {
    const { b, input, run } = setup();
    const [p, q] = [input("p"), input("q")];
    const swap = (op: "add" | "sub") => rule({ name: "r", left: t[op](t.exp(x), t.neg(y)), right: t.mul(x, y) });
    expect(run([swap("add")], b.add(b.neg(p), b.exp(q))).value.node.op).toBe("mul");
    expect(run([swap("sub")], b.sub(b.neg(p), b.exp(q))).same).toBe(true);
  });

  it("gives one value to a name that occurs twice", () => {
    const { b, input, run } = setup();
    const double = rule({ name: "r", left: t.add(x, x), right: t.mul(x, 2) });
    const [p, q] = [input("p"), input("q")];
    expect(run([double], b.add(p, p)).value.node.op).toBe("mul");
    expect(run([double], b.add(p, q)).same).toBe(true);
  });

  it("goes back to other spellings where a later part does not fit", () => {
    const { b, input, run } = setup();
    const p = input("p");
    const late = rule({ name: "r", left: t.sub(any(x, t.neg(x)), x), right: t.exp(x) });
    expect(run([late], b.sub(b.neg(p), p)).value).toBe(b.exp(p));
  });

  it("binds attributes, and compares those that occur twice by content", () => {
    const { b, input, run } = setup();
    const p = input("p", [3, 5]);
    const along = { axes: a("axes"), keepDims: true };
    const same = rule({
      name: "r",
      formula: "same axes",
      left: t.sub(t.reduceSum(x, along), t.reduceMax(x, along)),
      right: (m, build) => build.reduceMin(m.value("x"), { axes: m.attr("axes"), keepDims: true }),
    });
    const reduced = (axes: readonly number[]) => b.reduceMax(p, { axes: [...axes], keepDims: true });
    expect(run([same], b.sub(b.reduceSum(p, { axes: [1], keepDims: true }), reduced([1]))).value.node.op).toBe(
      "reduceMin",
    );
    expect(run([same], b.sub(b.reduceSum(p, { axes: [0], keepDims: true }), reduced([1]))).same).toBe(true);
  });

  it("says which attribute a predicate did not accept", () => {
    const { b, input, run } = setup();
    const positive = where("positive", (axis) => (axis as number) > 0);
    const list = [fusion({ name: "r", left: t.exp(t.neg(t.softmax(x, { axis: positive }))), right: x })];
    const { tally } = run(list, b.exp(b.neg(b.softmax(input("p"), { axis: 0 }))), fuse);
    expect([...tally.refused.get("r")!.keys()]).toEqual(["axis of softmax is 0, not positive"]);
  });

  it("reads numbers at the precision of their type", () => {
    const { b, input, run } = setup();
    const p = input("p");
    const root = rule({ name: "r", left: t.mul(x, Math.SQRT1_2), right: t.neg(x) });
    expect(run([root], b.mul(p, b.scalar(0.70710677, "f32"))).same).toBe(false);
    expect(run([root], b.mul(p, b.scalar(0.7072, "f32"))).same).toBe(true);
  });

  it("refuses another type", () => {
    const { b, input, run } = setup();
    const wrong = rule({ name: "r", left: t.add(t.neg(x), y), right: x });
    expect(run([wrong], b.add(b.neg(input("p", [5])), input("q", [3, 5]))).same).toBe(true);
  });
});

describe("fusions", () => {
  const pair = fusion({ name: "pair", left: t.exp(t.sin(x)), right: t.cos(x) });

  it("leave alone what is needed outside, and say so", () => {
    const { arena, b, input, cx } = setup();
    const inner = b.sin(input("p"));
    arena.hint(inner, { name: "angle" });
    const { report, tally } = tallying();
    const graph = graphOf(
      "g",
      [],
      [
        ["y", b.exp(inner)],
        ["z", b.neg(inner)],
      ],
    );
    expect(fuse(graph, [pair], { ...cx, report })).toBe(graph);
    expect(tally().misses).toMatchObject([
      {
        rule: "pair",
        reason: "`sin` is also used outside the pattern",
        value: "exp",
        depth: 2,
        detail: "blocked by angle",
      },
    ]);
  });

  it("leave alone what is a graph output", () => {
    const { b, input, cx } = setup();
    const inner = b.sin(input("p"));
    const graph = graphOf(
      "g",
      [],
      [
        ["y", b.exp(inner)],
        ["z", inner],
      ],
    );
    expect(fuse(graph, [pair], cx)).toBe(graph);
  });

  it("are left out by name", () => {
    const { b, input, cx } = setup();
    const graph = graphOf("g", [], [["y", b.exp(b.sin(input("p")))]]);
    expect(fuse(graph, [pair], { ...cx, options: { ...cx.options, without: new Set(["pair"]) } })).toBe(graph);
    expect(fuse(graph, [pair], cx)).not.toBe(graph);
  });

  it("reach into the branches of control flow", () => {
    const { arena, b, input, cx } = setup();
    const p = input("p");
    const inside = arena.build.input({ name: "inside", ...p.type });
    const branch = (name: string, value: Value) => graphOf(name, [inside], [["o", value]]);
    const condition = arena.build.input({ name: "c", dtype: "bool", shape: [] });
    const chosen = b.if(condition, p, {
      whenTrue: branch("yes", b.exp(b.sin(inside))),
      whenFalse: branch("no", b.mul(inside, b.scalar(1, "f32"))),
    });
    const fused = fuse(graphOf("g", [p, condition], [["y", chosen]]), [pair], cx);
    const whenTrue = fused.outputs[0]!.value.node.attrs.get("whenTrue") as Graph;
    expect(whenTrue.outputs[0]!.value.node.op).toBe("cos");
  });
});

describe("the driver", () => {
  it("names rules that rewrite into one another", () => {
    const { b, input, run } = setup();
    const there = rule({ name: "there", left: t.exp(x), right: t.sin(x) });
    const back = rule({ name: "back", left: t.sin(x), right: t.exp(x) });
    expect(() => run([there, back], b.exp(input("p")))).toThrow(/there, back rewrite into one another/);
  });

  it("names a rule that grows without end", () => {
    const { b, input, run } = setup();
    const grow = rule({ name: "grow", left: t.exp(x), right: t.exp(t.neg(x)) });
    expect(() => run([grow], b.exp(input("p")))).toThrow(/grow/);
  });

  it("rewrites what rules make", () => {
    const { b, input, run } = setup();
    const p = input("p");
    const list = [
      rule({ name: "one", left: t.exp(x), right: t.sin(t.neg(x)) }),
      rule({ name: "two", left: t.neg(x), right: t.abs(x) }),
    ];
    expect(run(list, b.exp(p)).value).toBe(b.sin(b.abs(p)));
  });

  it("gives a replacement the name of what it replaces", () => {
    const { arena, b, input, run } = setup();
    const value = b.exp(input("p"));
    arena.hint(value, { name: "grown", location: { file: "m.ts", line: 3, column: 5 } });
    const made = run([rule({ name: "r", left: t.exp(x), right: t.sin(x) })], value).value;
    expect(arena.hintOf(made)).toMatchObject({ name: "grown", location: { line: 3 } });
  });

  it("reports guards that refuse, once for each node that stays", () => {
    const { b, input, run } = setup();
    const picky = rule({
      name: "picky",
      left: t.exp(x),
      right: t.sin(x),
      guard: () => "not today",
      refuses: ["not today"],
    });
    const { tally } = run([picky], b.add(b.exp(input("p")), b.exp(input("q"))));
    expect(tally.refused.get("picky")).toEqual(new Map([["not today", 2]]));
  });

  it("handles chains of 100,000 nodes", async () => {
    const { b, input, cx } = setup();
    let value = input("p");
    for (let i = 0; i < 100_000; i++) value = i % 2 === 0 ? b.sin(value) : b.mul(b.scalar(1, "f32"), value);
    const graph = graphOf("deep", [], [["y", value]]);
    const after = await canonicalise.run(graph, cx);
    expect(nodesOf(after)).toHaveLength(50_001);
    expect(await canonicalise.run(after, cx)).toBe(after);
    expect(fuse(after, [fusion({ name: "r", left: t.exp(t.sin(c)), right: t.cos(c) })], cx)).toBe(after);
  });
});
