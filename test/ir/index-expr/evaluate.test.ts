import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { boundsWithin } from "../../../src/ir/index-expr/bounds.ts";
import { evaluateIndex } from "../../../src/ir/index-expr/evaluate.ts";
import { type IndexFn, indexFunctions } from "../../../src/ir/index-expr/functions.ts";
import { showIndex, showIndexExpr } from "../../../src/ir/index-expr/show.ts";
import { simplified, simplifyIndex } from "../../../src/ir/index-expr/simplify.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexTable,
  index,
  isTruth,
  length,
  lookup,
  partsInOrder,
  score,
} from "../../../src/ir/index-expr/types.ts";

const q = index("q");
const k = index("k");
const table: IndexTable = {
  kind: "constant",
  name: "bias",
  truth: false,
  dims: [2, 3],
  data: Float64Array.of(0.5, 1, -2, 3, Number.NaN, 7),
};
const tables = [table];
const origin = { b: 0, h: 0, q: 0, k: 0 };

/** Formulas of numbers; truth appears where it is compared or chosen by. */
const { expr: anyExpr } = fc.letrec<{ expr: IndexExpr }>((tie) => ({
  expr: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(q, k, index("b"), index("h"), score(), length("Q")),
    fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom(0.5, -0, Infinity, Number.NaN)).map(constant),
    fc
      .tuple(fc.constantFrom(...(Object.keys(indexFunctions) as IndexFn[])), tie("expr"), tie("expr"), tie("expr"))
      .map(([fn, ...args]) => applied(fn, ...args.slice(0, indexFunctions[fn].arity))),
    fc.tuple(tie("expr"), tie("expr")).map((at) => lookup(0, at)),
  ),
}));
const anyPoint = fc.record({
  b: fc.nat(1),
  h: fc.nat(3),
  q: fc.nat(40),
  k: fc.nat(40),
  s: fc.double({ min: -5, max: 5, noNaN: true }),
  lengths: fc.constant({ B: 2, H: 4, Q: 41, K: 41 }),
});

describe("a formula", () => {
  test("is interned", () => {
    expect(applied("add", q, constant(1))).toBe(applied("add", index("q"), constant(1)));
    expect(constant(-0)).not.toBe(constant(0));
    expect(constant(true)).toBe(constant(1));
  });

  test("answers NaN outside of a table, where it holds, and nowhere else", () => {
    const at = (i: number, j: number) => evaluateIndex({ expr: lookup(0, [constant(i), constant(j)]), tables }, origin);
    expect([at(0, 0), at(1, 2)]).toEqual([0.5, 7]);
    expect([at(1, 1), at(2, 0), at(0, -1), at(0, 0.5)]).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
  });

  test("that reads what is not given is refused", () => {
    expect(() => evaluateIndex({ expr: score(), tables: [] }, origin)).toThrow(
      expect.objectContaining({ code: "QKV240" }),
    );
    expect(() => evaluateIndex({ expr: length("Q"), tables: [] }, origin)).toThrow(/no length Q/);
    const tensor = { kind: "tensor", name: "doc", truth: false, value: {} } as unknown as IndexTable;
    expect(() => evaluateIndex({ expr: lookup(0, [q]), tables: [tensor] }, origin)).toThrow(
      /no values are given for doc/,
    );
    const given = new Map([[0, { dims: [3], data: [4, 5, 6] }]]);
    expect(evaluateIndex({ expr: lookup(0, [q]), tables: [tensor] }, { ...origin, q: 2 }, given)).toBe(6);
  });

  test("of 100,000 steps is evaluated, shown and simplified", () => {
    let expr: IndexExpr = q;
    for (let i = 0; i < 100_000; i++) expr = applied("add", expr, k);
    expect(evaluateIndex({ expr, tables: [] }, { ...origin, k: 1 })).toBe(100_000);
    expect(showIndexExpr(expr).length).toBeLessThan(3000);
    expect(simplifyIndex(expr)).toBe(expr);
    expect(partsInOrder(expr)).toHaveLength(100_002);
  });
});

test("its text is JavaScript that means it", () => {
  fc.assert(
    fc.property(anyExpr, anyPoint, (expr, point) => {
      const text = showIndexExpr(expr, tables);
      fc.pre(!text.includes("…"));
      const bias = (i: number, j: number) =>
        evaluateIndex({ expr: lookup(0, [constant(i), constant(j)]), tables }, origin);
      const rows = new Proxy({}, { get: (_, i) => new Proxy({}, { get: (_, j) => bias(Number(i), Number(j)) }) });
      const fn = new Function("b", "h", "q", "k", "s", "Q", "bias", `return +(${text})`);
      const { b, h, q, k, s, lengths } = point;
      const live = fn(b, h, q, k, s, lengths.Q, rows) as number;
      const ours = evaluateIndex({ expr, tables }, point);
      // `a && b` of numbers answers a number in JavaScript, truth in a formula.
      if (!mixesLogic(expr)) expect(ours + 0).toBe(live + 0);
    }),
    { numRuns: 2000 },
  );
});

/** Where JavaScript tells truth from numbers and a formula does not. */
const mixesLogic = (expr: IndexExpr) =>
  partsInOrder(expr).some((part) => {
    if (part.kind === "lookup") return part.at.some((at) => at.kind === "apply" && isTruth(at));
    const strict = ["and", "or", "not", "select", "equal", "notEqual"] as string[];
    if (part.kind !== "apply" || !strict.includes(part.fn)) return false;
    return part.args.some((arg) => arg.kind !== "apply" || !isTruth(arg));
  });

test("simplifying changes no answer", () => {
  fc.assert(
    fc.property(anyExpr, anyPoint, (expr, point) => {
      const before = evaluateIndex({ expr, tables }, point);
      const after = evaluateIndex({ expr: simplifyIndex(expr), tables }, point);
      expect(after + 0).toBe(before + 0);
    }),
    { numRuns: 3000 },
  );
});

test("bounds hold", () => {
  const bounds = boundsWithin({ B: 2, H: 4, Q: 41, K: 41 }, tables);
  fc.assert(
    fc.property(anyExpr, anyPoint, (expr, point) => {
      const value = evaluateIndex({ expr, tables }, point);
      const { low, high, whole, finite } = bounds(expr);
      if (finite) expect(Number.isFinite(value)).toBe(true);
      if (Number.isNaN(value)) return;
      expect(value).toBeGreaterThanOrEqual(low);
      expect(value).toBeLessThanOrEqual(high);
      if (whole) expect(Math.floor(value)).toBe(value);
    }),
    { numRuns: 3000 },
  );
});

test.each<[IndexExpr, string]>([
  [
    applied("and", applied("lessEqual", k, q), applied("less", applied("sub", q, k), constant(256))),
    "k <= q && q - k < 256",
  ],
  [applied("sub", q, applied("sub", k, constant(1))), "q - (k - 1)"],
  [applied("pow", applied("neg", q), constant(2)), "(-q) ** 2"],
  [applied("select", applied("not", applied("less", q, k)), constant(-1), constant(2)), "!(q < k) ? -1 : 2"],
  [applied("min", lookup(0, [index("h"), applied("floor", q)]), length("K")), "Math.min(bias[h][Math.floor(q)], K)"],
])("%# is shown as %s", (expr, text) => expect(showIndex({ expr, tables })).toBe(text));

test.each<[IndexExpr, IndexExpr]>([
  [simplified("sub", q, q), constant(0)],
  [simplified("mul", q, constant(1)), q],
  [simplified("floor", applied("add", q, k)), applied("add", q, k)],
  [simplified("not", applied("less", q, k)), applied("greaterEqual", q, k)],
  [simplified("and", applied("less", q, k), constant(0)), constant(0)],
  [simplified("mod", constant(-5), constant(3)), constant(-2)],
])("%# simplifies", (made, expected) => expect(made).toBe(expected));
