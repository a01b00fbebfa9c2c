import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { symbol } from "../../src/ir/dim.ts";
import { graphDigest, sameGraph } from "../../src/ir/equal.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { constantTable, printGraph } from "../../src/ir/print.ts";
import { fromNumbers, hostTensor } from "../../src/ir/tensor.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { build, samples } from "./support/op-samples.ts";
import { randomGraph } from "./support/random-graph.ts";

/** Prints, parses into another arena, and expects the same graph and the same text. */
function roundTrip(graph: Graph, arena: Arena): string {
  const text = printGraph(graph, { arena });
  const other = new Arena();
  const again = parseGraph(text, other, { constants: constantTable(graph) });
  expect(printGraph(again, { arena: other })).toBe(text);
  expect(sameGraph(graph, again)).toBe(true);
  expect(graphDigest(again)).toBe(graphDigest(graph));
  return text;
}

const errorOf = (text: string, arena = new Arena()): QkvError => {
  try {
    parseGraph(text, arena, { file: "test.ir" });
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  throw new Error("it was read");
};

test("the handwriting", () => {
  const arena = new Arena();
  const b = arena.build;
  const S = symbol("S");
  const [q, k, v] = ["q", "k", "v"].map((name) => b.input({ name, dtype: "f32", shape: [symbol("B"), 12, S, 64] }));
  const scores = b.contract(q!, k!, { spec: "b h q d, b h k d -> b h q k" });
  arena.hint(scores, { name: "scores", location: { file: "model.ts", line: 3, column: 7 } });
  const probs = b.softmax(b.mul(scores, b.scalar(0.125, "f32")));
  const out = b.contract(probs, v!, { spec: "b h q k, b h k d -> b h q d" });
  const graph = graphOf("head", [q!, k!, v!], [["out", out]]);
  expect(roundTrip(graph, arena)).toBe(
    `graph @head(%q: f32[B, 12, S, 64], %k: f32[B, 12, S, 64], %v: f32[B, 12, S, 64]) {
  %scores: f32[B, 12, S, S] = contract(%q, %k) {spec = "b h q d, b h k d -> b h q k"}
  %mul: f32[B, 12, S, S] = mul(%scores, 0.125)
  %softmax: f32[B, 12, S, S] = softmax(%mul)
  %out: f32[B, 12, S, 64] = contract(%softmax, %v) {spec = "b h q k, b h k d -> b h q d"}
  return %out
}
`,
  );
  expect(printGraph(graph, { arena, locations: true })).toContain('q k"} // model.ts:3:7\n');
});

test("names are counted per op, so that a new op renumbers no other", () => {
  const text = `graph @g(%x: f32[3]) {
  %add: f32[3] = add(%x, %x)
  %add_1: f32[3] = add(%add, 1)
  %exp: f32[3] = exp(%add_1)
  %add_2: f32[3] = add(%exp, 1)
  return y = %add_2, %x
}
`;
  const arena = new Arena();
  const graph = parseGraph(text, arena);
  expect(printGraph(graph, { arena })).toBe(text);
  expect(printGraph(graph)).toBe(text.replaceAll("%add_2", "%y").replace("y = %y", "%y"));
});

test("several results, graphs in graphs, and constants of each kind", () => {
  const text = `graph @main(%c: bool[], %x: f32[S, 4]) {
  %a, %b: f32[S, 1], f32[S, 3] = split(%x) {axis = 1, sizes = [1, 3]}
  %w: f32[4] = param() {name = "enc.w"}
  %k: f16[2, 2] = constant() {value = [0.1, -0, nan, inf]}
  %n: i64[] = constant() {value = -9007199254740993}
  %if: f32[S, 4] = if(%c, %x) {whenTrue = graph @yes(%x: f32[S, 4]) {
    %neg: f32[S, 4] = neg(%x)
    return out = %neg
  }, whenFalse = graph @no(%x: f32[S, 4]) {
    return out = %x
  }}
  %add: f32[S, 4] = add(%if, %w)
  %iota: i32[S] = iota() {size = S}
  return %add, %a, %k, %n, %iota
}
`;
  const arena = new Arena();
  const graph = parseGraph(text, arena);
  verifyGraph(graph, { arena });
  const printed = roundTrip(graph, arena);
  expect(printed.split("\n").toSorted()).toEqual(text.split("\n").toSorted());
});

describe("round trips", () => {
  test.each(
    Object.entries(samples).flatMap(([op, list]) => list.map((sample, i) => [`${op} ${i}`, op, sample] as const)),
  )("%s", (_, op, sample) => {
    const arena = new Arena();
    const { inputs, node } = build(arena, op, sample);
    roundTrip(
      graphOf(
        op,
        inputs,
        node.results.map((value, i) => [`y${i}`, value] as const),
      ),
      arena,
    );
  });

  test("any graph", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 40 }), (seed, size) => {
        const arena = new Arena();
        const graph = randomGraph(arena, seed, size);
        verifyGraph(graph, { arena });
        roundTrip(graph, arena);
      }),
      { numRuns: 300 },
    );
  });

  test("any hints", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 12 }), (names) => {
        const arena = new Arena();
        const x = arena.build.input({ name: "x", dtype: "f32", shape: [] });
        let value: Value = x;
        for (const name of names) arena.hint((value = arena.build.exp(value)), { name });
        roundTrip(graphOf("g", [x], [["out", value]]), arena);
      }),
    );
  });

  test("any f32, bit for bit", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 2, maxLength: 8 }), (bits) => {
        const arena = new Arena();
        const data = new Float32Array(Int32Array.from(bits).buffer);
        const value = arena.build.constant({ value: hostTensor("f32", [bits.length], data) });
        roundTrip(graphOf("g", [], [["out", value]]), arena);
      }),
    );
  });
});

test("a number has the element type of the other operand, or stands on its own line", () => {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f16", shape: [3] });
  const mask = b.input({ name: "m", dtype: "bool", shape: [3] });
  const outputs = [b.mul(x, b.scalar(0.1, "f16")), b.select(mask, b.scalar(1, "f32"), b.scalar(0, "f32"))];
  const text = roundTrip(
    graphOf(
      "g",
      [x, mask],
      outputs.map((value, i) => [`y${i}`, value] as const),
    ),
    arena,
  );
  expect(text).toContain("mul(%x, 0.1)");
  expect(text).toContain("%constant: f32[] = constant() {value = 1}");
  expect(text).toContain("select(%m, %constant, %constant_1)");
});

test("large constants are digests, read back from a table", () => {
  const arena = new Arena();
  const value = arena.build.constant({
    value: fromNumbers(
      "f32",
      [65],
      Array.from({ length: 65 }, (_, i) => i),
    ),
  });
  const graph = graphOf("g", [], [["out", value]]);
  const text = roundTrip(graph, arena);
  expect(text).toMatch(/constant\(\) \{value = #[0-9a-f]{16}\}/);
  expect(errorOf(text).code).toBe("QKV223");
});

test("no name prints as another's", () => {
  const arena = new Arena();
  const x = arena.build.input({ name: "exp", dtype: "f32", shape: [] });
  const y = arena.build.exp(x);
  arena.hint(y, { name: "exp" });
  const z = arena.build.exp(y);
  arena.hint(z, { name: "exp_1" });
  expect(roundTrip(graphOf("g", [x], [["exp", z]]), arena)).toContain("return exp = %exp_1_1");
});

describe("what is not read", () => {
  const broken: readonly (readonly [string, string, string, string])[] = [
    ["nothing", "", "QKV220", "1:1"],
    ["no name", "graph (%x: f32[]) {\n return %x\n}", "QKV220", "1:7"],
    ["no return", "graph @g() {\n}", "QKV220", "2:1"],
    ["more behind", "graph @g() {\n  return\n}\ngraph", "QKV220", "4:1"],
    ["an undefined value", "graph @g() {\n  return %x\n}", "QKV221", "2:10"],
    [
      "a value used before its line",
      "graph @g(%x: f32[]) {\n  %a: f32[] = exp(%b)\n  %b: f32[] = exp(%x)\n  return %a\n}",
      "QKV221",
      "2:19",
    ],
    ["a value defined twice", "graph @g(%x: f32[]) {\n  %x: f32[] = exp(%x)\n  return %x\n}", "QKV221", "2:3"],
    ["another type than inferred", "graph @g(%x: f32[3]) {\n  %y: f32[4] = exp(%x)\n  return %y\n}", "QKV222", "2:3"],
    [
      "another number of results",
      "graph @g(%x: f32[3]) {\n  %y, %z: f32[3] = exp(%x)\n  return %y\n}",
      "QKV220",
      "2:3",
    ],
    ["an unknown op", "graph @g(%x: f32[3]) {\n  %y: f32[3] = relux(%x)\n  return %y\n}", "QKV211", "2:16"],
    [
      "an unknown attribute",
      "graph @g(%x: f32[3]) {\n  %y: f32[3] = softmax(%x) {axes = 1}\n  return %y\n}",
      "QKV212",
      "2:29",
    ],
    [
      "an attribute twice",
      "graph @g(%x: f32[3]) {\n  %y: f32[3] = softmax(%x) {axis = 0, axis = 0}\n  return %y\n}",
      "QKV220",
      "2:39",
    ],
    [
      "a fraction as axis",
      "graph @g(%x: f32[3]) {\n  %y: f32[3] = softmax(%x) {axis = 0.5}\n  return %y\n}",
      "QKV220",
      "2:36",
    ],
    ["a broken constraint", "graph @g(%x: i64[3]) {\n  %y: i64[3] = exp(%x)\n  return %y\n}", "QKV210", "2:16"],
    ["too few operands", "graph @g(%x: f32[3]) {\n  %y: f32[3] = add(%x)\n  return %y\n}", "QKV213", "2:16"],
    ["an untyped number", "graph @g() {\n  %y: f32[] = exp(1)\n  return %y\n}", "QKV220", "2:19"],
    ["a word as operand", "graph @g(%x: f32[]) {\n  %y: f32[] = add(%x, seven)\n  return %y\n}", "QKV220", "2:23"],
    ["a fraction as integer", "graph @g(%x: i64[]) {\n  %y: i64[] = add(%x, 0.5)\n  return %y\n}", "QKV220", "2:23"],
    ["an integer out of range", "graph @g(%x: i8[]) {\n  %y: i8[] = add(%x, 200)\n  return %y\n}", "QKV220", "2:22"],
    ["too few elements", "graph @g() {\n  %y: f32[3] = constant() {value = [1, 2]}\n  return %y\n}", "QKV220", "2:36"],
    [
      "a symbolic constant",
      "graph @g() {\n  %y: f32[S] = constant() {value = [1, 2]}\n  return %y\n}",
      "QKV220",
      "2:36",
    ],
    ["an unknown digest", "graph @g() {\n  %y: f32[3] = constant() {value = #0123}\n  return %y\n}", "QKV223", "2:36"],
    ["an unknown element type", "graph @g(%x: f33[]) {\n  return %x\n}", "QKV220", "1:14"],
    ["no dimension", "graph @g(%x: f32[2 +]) {\n  return %x\n}", "QKV203", "1:18"],
    ["an empty dimension", "graph @g(%x: f32[2, ]) {\n  return %x\n}", "QKV220", "1:21"],
    ["a stray sign", "graph @g(%x: f32[]) {\n  ! return %x\n}", "QKV220", "2:3"],
    ["an open text", 'graph @g(%x: f32[]) {\n  %"y: f32[] = exp(%x)\n  return %x\n}', "QKV220", "2:3"],
    ["a bad escape", 'graph @g(%"\\q": f32[]) {\n  return %x\n}', "QKV220", "1:10"],
    ["an end inside a list", "graph @g(%x: f32[2,", "QKV220", "1:20"],
  ];

  test.each(broken)("%s", (_, text, code, place) => {
    const { code: found, details } = errorOf(text);
    expect(found).toBe(code);
    const { file, line, column } = details.location!;
    expect(`${file} ${line}:${column}`).toBe(`test.ir ${place}`);
    expect(details.notes![0]).toBe(text.split("\n")[line - 1]);
    expect(details.notes![1]!.indexOf("^")).toBe(column - 1);
  });

  test("graphs nested without end, dimensions nested without end", () => {
    const nested = "graph @g(%c: bool[]) { %x: f32[] = if(%c) {whenTrue = ".repeat(5000);
    expect(errorOf(nested).code).toBe("QKV224");
    expect(errorOf(`graph @g(%x: f32[${"(".repeat(100_000)}`).code).toBe("QKV203");
  });

  test("no text makes it throw anything but its own errors", () => {
    const pieces = [
      "graph",
      "@g",
      "(",
      ")",
      "{",
      "}",
      "%x",
      ":",
      "f32",
      "[",
      "]",
      "S",
      ",",
      "=",
      "exp",
      "return",
      "1",
      "#a",
      '"t"',
      "\n",
      "->",
      "/",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 30 }), (tokens) => {
        expect(() => errorOf(`graph @g(%x: f32[S]) { ${tokens.join(" ")}`)).not.toThrow(TypeError);
      }),
    );
  });
});

test("a chain of 100,000 nodes is printed, read, verified, compared and run", () => {
  const arena = new Arena();
  const x = arena.build.input({ name: "x", dtype: "f32", shape: [2] });
  let value: Value = x;
  for (let i = 0; i < 100_000; i++) value = i % 2 ? arena.build.neg(value) : arena.build.add(value, x);
  const graph = graphOf("deep", [x], [["out", value]]);
  verifyGraph(graph, { arena });
  roundTrip(graph, arena);
  const out = evaluateGraph(graph, new Map([["x", fromNumbers("f32", [2], [1, 2])]])).get("out")!;
  expect([...out.data]).toEqual([1, 2]);
});

test("graphs that differ anywhere are not the same", () => {
  const text = (change: (line: string) => string) =>
    parseGraph(
      change(`graph @g(%x: f32[3], %z: f32[3]) {
  %w: f32[3] = param() {name = "w"}
  %c: f32[3] = constant() {value = [1, 2, 3]}
  %a: f32[3] = sub(%x, %w)
  %b: f32[3] = mul(%a, %c)
  %s: f32[3] = softmax(%b)
  return %s
}`),
      new Arena(),
    );
  const plain = text((t) => t);
  expect(
    sameGraph(
      plain,
      text((t) => t.replaceAll("%a", "%other")),
    ),
  ).toBe(true);
  for (const [from, to] of [
    ["@g", "@h"],
    ["%z: f32[3]", "%y: f32[3]"],
    ['"w"', '"v"'],
    ["[1, 2, 3]", "[1, 2, 4]"],
    ["sub(%x, %w)", "sub(%w, %x)"],
    ["sub(%x, %w)", "sub(%x, %x)"],
    ["mul(", "add("],
    ["softmax(%b)", "softmax(%b) {axis = 0}"],
    ["return %s", "return t = %s"],
    ["return %s", "return s = %b"],
    ["return %s", "return %s, %x"],
  ] as const) {
    const changed = text((t) => t.replace(from, to));
    expect(sameGraph(plain, changed), to).toBe(false);
    expect(graphDigest(plain)).not.toBe(graphDigest(changed));
  }
});
