import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { liftFunction } from "../../src/dsl/lift/lift.ts";
import { type MaskFunction, maskTable, type ScoreFunction, scoreTable } from "../../src/index.ts";
import { symbol } from "../../src/ir/dim.ts";
import { evaluateIndex } from "../../src/ir/index-expr/evaluate.ts";
import { showIndex } from "../../src/ir/index-expr/show.ts";
import { and, causal, window } from "./support/mask-algebra.ts";

const lengths = { B: 2, H: 4, Q: symbol("q_len"), K: symbol("k_len") };
const text = (fn: MaskFunction) => showIndex(liftFunction(fn, "mask", lengths));

describe("captures under the test runner", () => {
  const local = 7;
  test.each<[string, MaskFunction, string]>([
    ["expression body", ({ q, k }) => k <= q, "k <= q"],
    ["closure variable", ({ q, k }) => q - k < local, "q - k < 7"],
    ["imported functions", and(causal, window(256)), "k <= q && Math.abs(q - k) < 256"],
    ["plain parameter", (i) => i.k <= i.q, "k <= q"],
  ])("%s", (_, fn, expected) => expect(text(fn)).toBe(expected));
});

describe("JavaScript as it is written", () => {
  const size = 4;
  const settings = { window: 8, mode: "causal" };
  let late = 3;
  late += 1;
  const cases: readonly [string, MaskFunction, string][] = [
    ["renamed", ({ q: query, k: key }) => key <= query, "k <= q"],
    [
      "block body",
      ({ q, k }) => {
        const d = q - k;
        return d >= 0 && d < size;
      },
      "q - k >= 0 && q - k < 4",
    ],
    ["settings", ({ q, k }) => settings.mode !== "causal" || q - k < settings.window, "q - k < 8"],
    ["a let as it is now", ({ q, k }) => q - k < late, "q - k < 4"],
    [
      "early return",
      ({ q, k }) => {
        if (k > q) return false;
        return q - k < size;
      },
      "k <= q && q - k < 4",
    ],
    ["reduced lists", ({ q, k }) => [1, 2].map((n) => n * size).some((n) => q - k === n), "q - k === 4 || q - k === 8"],
    ["number as truth", ({ q, k }) => !(q % 2) && Boolean(k), "q % 2 === 0 && k !== 0"],
    [
      "inner functions",
      ({ q, k }) => {
        const near = (n: number) => Math.abs(q - k) < n;
        return near(3);
      },
      "Math.abs(q - k) < 3",
    ],
    [
      "for of",
      ({ k }) => {
        for (const n of [3, 5]) if (k === n) return true;
        return false;
      },
      "k === 3 || k === 5",
    ],
    ["precedence", ({ q, k }) => (q - (k - 1)) * 2 > 3, "(q - (k - 1)) * 2 > 3"],
  ];
  test.each(cases)("%s", (_, fn, expected) => expect(text(fn)).toBe(expected));

  test("methods of objects", () => {
    const owner = {
      near({ q, k }: { q: number; k: number }) {
        return q - k < size;
      },
    };
    expect(text(owner.near)).toBe("q - k < 4");
  });
});

/** Source text of random expressions; what they mean is what JavaScript says. */
const { number } = fc.letrec<{ number: string; truth: string }>((tie) => ({
  number: fc.oneof(
    { depthSize: "medium" },
    fc.constantFrom("b", "h", "q", "k", "3", "0.5", "7", "w", "t[0]", "-2"),
    fc
      .tuple(tie("number"), fc.constantFrom("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", ">>>"), tie("number"))
      .map(([x, op, y]) => `(${x} ${op} ${y})`),
    fc
      .tuple(fc.constantFrom("floor", "round", "trunc", "abs", "sign", "ceil"), tie("number"))
      .map(([f, x]) => `Math.${f}(${x})`),
    fc.tuple(tie("truth"), tie("number"), tie("number")).map(([c, x, y]) => `(${c} ? ${x} : ${y})`),
    fc.tuple(tie("number"), tie("number")).map(([x, y]) => `Math.min(${x}, ${y}, 9)`),
    tie("number").map((x) => `-(${x})`),
    tie("number").map((x) => `t[Math.abs(Math.round(${x}) | 0) & 3]`),
    fc
      .tuple(tie("number"), tie("number"))
      .map(([x, y]) => `(() => { const a = ${x}; if (a > 2) return ${y}; return a; })()`),
  ),
  truth: fc.oneof(
    { depthSize: "medium" },
    fc
      .tuple(tie("number"), fc.constantFrom("<", "<=", ">", ">=", "===", "!=="), tie("number"))
      .map(([x, op, y]) => `(${x} ${op} ${y})`),
    fc.tuple(tie("truth"), fc.constantFrom("&&", "||"), tie("truth")).map(([x, op, y]) => `(${x} ${op} ${y})`),
    fc.tuple(tie("number")).map(([x]) => `!(${x})`),
  ),
}));

test("random source means what JavaScript says", () => {
  const at = fc.record({ b: fc.nat(1), h: fc.nat(3), q: fc.nat(70), k: fc.nat(70) });
  fc.assert(
    fc.property(number, fc.array(at, { minLength: 5, maxLength: 5 }), (source, points) => {
      const make = new Function("w", "t", `return (s, { b, h, q, k }) => ${source};`);
      const fn = make(5, [4, -1, 0.25, 2]) as ScoreFunction;
      const formula = liftFunction(fn, "score", lengths);
      for (const point of points) expect(evaluateIndex(formula, { ...point, s: 1 }) + 0, source).toBe(fn(1, point) + 0);
    }),
    { numRuns: 300 },
  );
});

test("tables of what functions answer", () => {
  expect([...maskTable(causal, { Q: 2, K: 3 }).data]).toEqual([1, 0, 0, 1, 1, 0]);
  expect(maskTable(causal, { B: 2, H: 3, Q: 4, K: 5 }).dims).toEqual([2, 3, 4, 5]);
  expect([
    ...scoreTable(
      (s, { q, k }) => s + q - k,
      { Q: 2, K: 2 },
      ({ k }) => k * 10,
    ).data,
  ]).toEqual([0, 9, 1, 10]);
  expect(() => maskTable((() => 1) as never, { Q: 1, K: 1 })).toThrow(expect.objectContaining({ code: "QKV146" }));
  expect(() => maskTable(causal, { Q: 0, K: 1 })).toThrow(expect.objectContaining({ code: "QKV101" }));
});

test("what a function throws while its table is made is one error", () => {
  const mask = (({ q }: { q: number }) => (undefined as unknown as boolean[][])[q]![0]) as MaskFunction;
  expect(() => maskTable(mask, { Q: 2, K: 2 })).toThrow(expect.objectContaining({ code: "QKV154" }));
});

test("a captured let counts as it is at each call, imports too", () => {
  let window = 3;
  const mask: MaskFunction = ({ q, k }) => q - k < window;
  expect(text(mask)).toBe("q - k < 3");
  window = 7;
  expect(text(mask)).toBe("q - k < 7");
});
