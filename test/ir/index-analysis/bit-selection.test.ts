import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bitSelections, selectedBits } from "../../../src/ir/index-analysis/bit-selection.ts";
import { boxProgram } from "../../../src/ir/index-analysis/program.ts";
import { indexEvaluator } from "../../../src/ir/index-expr/evaluate.ts";
import { applied, constant, type IndexExpr, index, partsInOrder, partsOf } from "../../../src/ir/index-expr/types.ts";
import { abs, and, formula, k, le, q, sub } from "./formula.ts";

const K = 200;
const number = fc.integer({ min: -3, max: 255 }).map(constant);
const bits = fc.letrec<{ bits: IndexExpr }>((tie) => ({
  bits: fc.oneof(
    { maxDepth: 6 },
    { weight: 1, arbitrary: fc.constant(index("k")) },
    { weight: 3, arbitrary: fc.tuple(tie("bits"), number).map(([x, n]) => applied("bitAnd", x, n)) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          fc.constantFrom("shiftLeft" as const, "shiftRight" as const, "shiftRightUnsigned" as const),
          tie("bits"),
          fc.integer({ min: -1, max: 33 }),
        )
        .map(([fn, x, n]) => applied(fn, x, constant(n))),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom("bitOr" as const, "bitXor" as const), tie("bits"), tie("bits"))
        .map(([fn, x, y]) => applied(fn, x, y)),
    },
    { weight: 1, arbitrary: tie("bits").map((x) => applied("bitNot", x)) },
  ),
})).bits;

const selectionsOf = (expr: IndexExpr) => {
  const parts = partsInOrder(expr);
  const args = parts.map((part) => partsOf(part).map((arg) => parts.indexOf(arg)));
  return bitSelections(parts, args, { B: 1, H: 1, Q: K, K });
};

describe("selections of bits", () => {
  it("are what bit operators answer", () => {
    fc.assert(
      fc.property(bits, fc.integer({ min: 0, max: K - 1 }), (expr, at) => {
        const selection = selectionsOf(expr).at(-1);
        if (!selection) return;
        const value = indexEvaluator({ expr, tables: [] })({ b: 0, h: 0, q: 0, k: at });
        expect(selectedBits(selection, at)).toBe(value);
      }),
      { numRuns: 2000 },
    );
  });

  it("are found where digits are interleaved", () => {
    const x = applied("bitAnd", index("k"), constant(0x55));
    const y = applied("bitAnd", applied("bitOr", x, applied("shiftRight", x, constant(1))), constant(0x33));
    const selection = selectionsOf(y).at(-1)!;
    expect(selection).toMatchObject({ mask: 0x55, once: true, rising: false });
    expect(selectedBits(selection, 0b1010101)).toBe(0b110011);
  });

  it("may take a bit twice", () => {
    const twice = applied(
      "bitOr",
      applied("bitAnd", index("k"), constant(1)),
      applied("shiftLeft", index("k"), constant(1)),
    );
    expect(selectionsOf(twice).at(-1)).toMatchObject({ once: false });
  });
});

describe("boxes that hold both", () => {
  const even = (x: IndexExpr) => applied("bitAnd", x, constant(1));
  const odd = (x: IndexExpr) => even(applied("shiftRight", x, constant(1)));
  const isMixed = (mask: IndexExpr, q0: number, q1: number, k0: number, k1: number) => {
    const program = boxProgram(formula(mask), { Q: 64, K: 64 });
    expect(program.verdict(q0, q1, k0, k1)).toBe("unknown");
    return program.isMixed();
  };

  it("are known where parts read different bits", () => {
    expect(isMixed(and(le(even(k), even(q)), le(odd(k), odd(q))), 0, 3, 4, 7)).toBe(true);
    expect(isMixed(le(abs(sub(q, k)), 3), 0, 9, 3, 7)).toBe(true);
  });

  it("are not where a bit is read twice", () => {
    expect(isMixed(and(le(even(k), even(q)), le(k, q)), 0, 3, 0, 3)).toBe(false);
    // Decided parts read nothing.
    expect(isMixed(and(le(even(k), even(q)), le(k, q)), 4, 7, 0, 3)).toBe(true);
  });
});
