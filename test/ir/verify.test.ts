import { describe, expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { foldableNodes } from "../../src/ir/constness.ts";
import { costOf } from "../../src/ir/cost.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { symbol } from "../../src/ir/dim.ts";
import { parseDim } from "../../src/ir/dim-parse.ts";
import { graphDigest, sameGraph } from "../../src/ir/equal.ts";
import { type Graph, Node, type Value } from "../../src/ir/graph.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { type VerifyOptions, verifyGraph } from "../../src/ir/verify.ts";

const errorOf = (graph: Graph, options?: VerifyOptions): QkvError | undefined => {
  try {
    verifyGraph(graph, options);
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  return undefined;
};
const codeOf = (graph: Graph, options?: VerifyOptions) => errorOf(graph, options)?.code ?? "nothing";

const arena = new Arena();
const b = arena.build;
const S = symbol("S");
const f32 = { dtype: "f32", shape: [3] } as const;
const x = b.input({ name: "x", ...f32 });
const y = b.input({ name: "y", ...f32 });
const one = (name: string, value: Value) => graphOf("g", [x, y], [[name, value]]);

test("a sound graph passes, with inputs nothing uses and outputs that are inputs", () => {
  expect(
    codeOf(
      graphOf(
        "g",
        [x, y],
        [
          ["x", x],
          ["z", b.exp(x)],
          ["again", b.exp(x)],
        ],
      ),
    ),
  ).toBe("nothing");
});

describe("types and order", () => {
  test("a type its op does not give", () => {
    const wrong = new Node(1e6, "exp", [x], new Map(), [{ dtype: "f32", shape: [4] }]);
    const error = errorOf(one("z", wrong.results[0]!))!;
    expect(error.code).toBe("QKV230");
    expect(error.message).toBe("exp: has f32[4], its op gives f32[3]");
  });

  test("operands its op refuses, with the name and place of the value", () => {
    const ints = b.input({ name: "i", dtype: "i64", shape: [3] });
    const wrong = new Node(1e6, "exp", [ints], new Map(), [ints.type]);
    const location = { file: "m.ts", line: 3, column: 5 };
    arena.hint(wrong.results[0]!, { name: "scores", location });
    const error = errorOf(graphOf("g", [ints], [["z", wrong.results[0]!]]), { arena })!;
    expect(error.code).toBe("QKV230");
    expect(error.message).toBe("%scores (exp): exp: i64 is not floating point (C1)");
    expect(error.details.location).toEqual(location);
  });

  test("an unknown op, a wrong number of operands", () => {
    for (const [op, operands] of [
      ["relux", [x]],
      ["add", [x]],
    ] as const)
      expect(["QKV211", "QKV230"]).toContain(
        codeOf(one("z", new Node(1e6, op, operands, new Map(), [x.type]).results[0]!)),
      );
  });

  test("an operand made after its user", () => {
    const early = new Node(-1, "exp", [x], new Map(), [x.type]);
    expect(codeOf(one("z", early.results[0]!))).toBe("QKV231");
  });

  test("an operand that is no result of its node", () => {
    const stray = { node: b.exp(x).node, index: 1, type: x.type } as Value;
    const user = new Node(1e6, "neg", [stray], new Map(), [x.type]);
    expect(codeOf(one("z", user.results[0]!))).toBe("QKV231");
  });
});

describe("inputs", () => {
  test("that are no input nodes", () => {
    expect(codeOf(graphOf("g", [b.exp(x)], [["z", b.exp(x)]]))).toBe("QKV232");
  });
  test("that are used but not listed", () => {
    expect(codeOf(graphOf("g", [x], [["z", b.add(x, y)]]))).toBe("QKV232");
  });
});

describe("names", () => {
  test("used twice", () => {
    const other = b.input({ name: "x", dtype: "f32", shape: [4] });
    expect(codeOf(graphOf("g", [x, other], []))).toBe("QKV233");
    expect(codeOf(graphOf("g", [x, x], []))).toBe("QKV233");
    expect(
      codeOf(
        graphOf(
          "g",
          [x],
          [
            ["z", x],
            ["z", b.exp(x)],
          ],
        ),
      ),
    ).toBe("QKV233");
    expect(codeOf(one("x", b.exp(x)))).toBe("QKV233");
  });

  test("of parameters of two types", () => {
    const [v, w] = [3, 1].map((size) => b.param({ name: "w", dtype: "f32", shape: [size] }));
    expect(codeOf(one("z", b.add(v!, w!)))).toBe("QKV233");
  });

  test.each([
    ["empty", ""],
    ["with a NUL", "a\0b"],
    ["half a surrogate pair", "a\ud800"],
    ["the other half", "\udc00"],
    ["of 1,025 bytes", "a".repeat(1025)],
    ["of 1,026 bytes in 513 characters", "é".repeat(513)],
    ["very long", "x".repeat(1_000_000)],
  ])("%s", (_, name) => {
    const strange = b.input({ name, ...f32 });
    for (const graph of [
      graphOf("g", [strange], []),
      one(name, b.exp(x)),
      one("z", b.param({ name, ...f32 })),
      graphOf(name, [x], []),
    ]) {
      const error = errorOf(graph)!;
      expect(error.code).toBe("QKV234");
      expect(error.message).not.toMatch(/ a (input|output)/);
      expect(error.message.length).toBeLessThan(200);
    }
  });

  test.each([
    "constructor",
    "__proto__",
    "toString",
    "a b",
    "../up",
    "😀",
    "é".repeat(512),
    "new\nline",
    "a".repeat(1024),
  ])("%j is allowed", (name) => {
    const strange = b.input({ name, ...f32 });
    expect(codeOf(graphOf(name, [strange], [[`${name.slice(0, 500)}'`, b.exp(strange)]]))).toBe("nothing");
  });
});

describe("subgraphs", () => {
  const condition = b.input({ name: "c", dtype: "bool", shape: [] });
  const branches = (inner: Graph) =>
    graphOf("g", [condition, x], [["z", b.if(condition, x, { whenTrue: inner, whenFalse: inner })]]);

  test("that reach outside themselves", () => {
    expect(codeOf(branches(graphOf("in", [x], [["z", b.add(x, y)]])))).toBe("QKV235");
    expect(codeOf(branches(graphOf("in", [x], [["z", b.exp(x)]])))).toBe("nothing");
  });

  test("nested too deeply", () => {
    const nest = (depth: number): Graph => {
      let inner = graphOf("in", [condition, x], [["z", x]]);
      for (let i = 0; i < depth; i++)
        inner = graphOf(
          "in",
          [condition, x],
          [["z", b.if(condition, condition, x, { whenTrue: inner, whenFalse: inner })]],
        );
      return inner;
    };
    expect(codeOf(nest(3))).toBe("nothing");
    expect(codeOf(nest(30))).toBe("nothing");
    expect(codeOf(nest(31))).toBe("QKV239");
    expect(codeOf(nest(5000))).toBe("QKV239");
    expect(sameGraph(nest(30), nest(30))).toBe(true);
    expect(graphDigest(nest(30))).not.toBe(graphDigest(nest(29)));
    expect(costOf(nest(30)).nodes).toBe(1);
    expect(foldableNodes(nest(30)).size).toBe(0);
  });
});

describe("dimensions", () => {
  const shaped = (...shapes: string[][]) => {
    const inputs = shapes.map((shape, i) => b.input({ name: `s${i}`, dtype: "f32", shape: shape.map(parseDim) }));
    return graphOf(
      "g",
      inputs,
      inputs.map((value, i) => [`o${i}`, b.exp(value)]),
    );
  };

  test.each([[[["S"]]], [[["past + S"], ["S"]]], [[["2*S + 1"]]], [[["S*B", "B"], ["S"]]], [[["ceil(S/2)", "S"]]]])(
    "%j binds its symbols",
    (shapes) => expect(codeOf(shaped(...shapes))).toBe("nothing"),
  );

  test.each([[[["past + S"]]], [[["S*B"]]], [[["S^2"]]], [[["ceil(S/2)"]]]])("%j does not", (shapes) => {
    expect(codeOf(shaped(...shapes))).toBe("QKV236");
    expect(codeOf(shaped(...shapes), { given: ["S", "past", "B"] })).toBe("nothing");
  });

  test("symbols of attributes and of graphs in graphs count", () => {
    expect(codeOf(one("z", b.iota({ size: S })))).toBe("QKV236");
    expect(codeOf(one("z", b.size({ of: S })))).toBe("QKV236");
    const inner = graphOf("in", [], [["z", b.size({ of: S })]]);
    expect(codeOf(one("z", b.if(b.scalar(1, "bool"), { whenTrue: inner, whenFalse: inner })))).toBe("QKV236");
  });

  test("negative ones", () => {
    expect(codeOf(graphOf("g", [b.input({ name: "n", dtype: "f32", shape: [-1] })], []))).toBe("QKV237");
    expect(codeOf(one("z", b.iota({ size: -3 })))).toBe("QKV237");
  });

  test("sizes no file holds", () => {
    const huge = b.input({ name: "n", dtype: "f32", shape: [2 ** 30, 2 ** 30] });
    expect(codeOf(graphOf("g", [huge], []))).toBe("QKV238");
    expect(codeOf(graphOf("g", [x], []), { maxBytes: 11 })).toBe("QKV238");
    expect(codeOf(graphOf("g", [x], []), { maxBytes: 12 })).toBe("nothing");
    const empty = b.input({ name: "n", dtype: "f32", shape: [2 ** 30, 2 ** 30, 0] });
    expect(codeOf(graphOf("g", [empty], []))).toBe("nothing");
  });
});

test("100,000 parameters and constants", () => {
  const { build } = new Arena();
  const parts = Array.from({ length: 100_000 }, (_, i) =>
    i % 2 ? build.param({ name: `w${i}`, ...f32 }) : build.constant({ value: fromNumbers("f32", [3], [i, i, i]) }),
  );
  expect(codeOf(graphOf("g", [], [["z", build.concat(...parts, { axis: 0 })]]))).toBe("nothing");
});
