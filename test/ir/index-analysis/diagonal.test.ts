import { describe, expect, test } from "vitest";
import { add, type Dim, evaluate, symbol } from "../../../src/ir/dim.ts";
import { seesItself } from "../../../src/ir/index-analysis/diagonal.ts";
import { indexEvaluator } from "../../../src/ir/index-expr/evaluate.ts";
import { substituteParts } from "../../../src/ir/index-expr/substitute.ts";
import { parseFormula } from "../../../src/ir/index-expr/text.ts";
import { constant } from "../../../src/ir/index-expr/types.ts";

const [n, p] = ["n", "p"].map(symbol) as [Dim, Dim];
const after = add(p, n);

describe("every query sees the key at its own place", () => {
  test.each([
    ["k <= q", n, n, true],
    ["k < q", n, n, false],
    ["k <= q && q - k < 3", 9, 9, true],
    ["k <= q", n, after, false],
    ["k <= q + (K - Q)", n, after, true],
    ["k < q + (K - Q)", n, after, false],
    ["k <= q + (K - Q) && q + (K - Q) - k < 3", n, after, true],
    ["q + (K - Q) - k < 3 && q < 5", n, after, false],
    ["Math.floor((q + (K - Q)) / 4) === Math.floor(k / 4)", n, after, true],
    ["k <= q + (K - Q)", 3, 7, true],
    ["k <= q + (K - Q)", after, n, false],
    ["k <= q + (K - Q)", n, p, false],
    ["k < K", n, after, false],
  ] as const)("%s at %s and %s: %s", (text, queries, keys, expected) => {
    const expr = parseFormula(text);
    expect(seesItself({ expr, tables: [] }, queries, keys)).toBe(expected);
    if (!expected) return;
    for (const sizes of [
      new Map([
        ["n", 1],
        ["p", 0],
      ]),
      new Map([
        ["n", 9],
        ["p", 4],
      ]),
    ]) {
      const [Q, K] = [queries, keys].map((dim) => evaluate(dim, sizes)) as [number, number];
      const lengths = { B: 1, H: 1, Q, K };
      const known = substituteParts(expr, (part) => (part.kind === "length" ? constant(lengths[part.name]) : part));
      const evaluated = indexEvaluator({ expr: known, tables: [] });
      for (let q = 0; q < Q; q++) expect(evaluated({ b: 0, h: 0, q, k: q + K - Q })).not.toBe(0);
    }
  });
});
