import { expect, test } from "vitest";
import { QkvError } from "../../../src/ir/diagnostics.ts";
import { formulaText, parseFormula } from "../../../src/ir/index-expr/text.ts";
import { applied, constant, type IndexExpr, index, lookup, score } from "../../../src/ir/index-expr/types.ts";
import { catalogue } from "../index-analysis/catalogue.ts";

const texts = [
  "k <= q && q - k < 256",
  "s - 2 ** -(h + 1) * (q - k)",
  "-(2 ** 3) * s",
  "(-2) ** k",
  "q - (k - 1)",
  "q % 3 === 1 ? k < 4 : !(k > q)",
  "(q < 3 ? k : q) === 2",
  "table0[h][Math.min(q, 7)] + table12[b]",
  "~(q >>> 2 & 7 ^ k | 1) << 3",
  "s * -Infinity",
  "Math.max(Q, K) - 1e+22 + 1.5e-7",
  "$0 = q - k; $0 * $0 + s",
];

test.each(texts)("%s is read and written alike", (text) => {
  expect(formulaText(parseFormula(text))).toBe(text);
});

test("formulas of the catalogue come back as the same objects", () => {
  for (const [name, { expr }] of catalogue(4096, 64)) expect(parseFormula(formulaText(expr)), name).toBe(expr);
});

test("a long chain and a shared part are written once", () => {
  let chain: IndexExpr = score();
  for (let i = 0; i < 20_000; i++) chain = applied("add", applied("tanh", chain), constant(i));
  expect(parseFormula(formulaText(chain))).toBe(chain);
  let doubled: IndexExpr = index("q");
  for (let i = 0; i < 200; i++) doubled = applied("mul", doubled, doubled);
  expect(formulaText(doubled).length).toBeLessThan(10_000);
  expect(parseFormula(formulaText(doubled))).toBe(doubled);
});

test("numbers keep their sign and kind", () => {
  for (const value of [-0, 0, Number.NaN, Infinity, -Infinity, 0.1, -5, 2 ** 60]) {
    const expr = applied("add", lookup(0, [index("k")]), constant(value));
    expect(parseFormula(formulaText(expr))).toBe(expr);
  }
});

test("a sign before a number is no sign of the number", () => {
  for (const value of [5, Infinity, -5, 0]) {
    const expr = applied("pow", constant(2), applied("neg", constant(value)));
    expect(parseFormula(formulaText(expr))).toBe(expr);
  }
});

test.each([
  ["", "ends too early"],
  ["q +", "ends too early"],
  ["q k", 'has "k" where it cannot stand'],
  ["z < 3", 'has an unknown name "z"'],
  ["Math.min(q)", "gives 1 arguments to min, which takes 2"],
  ["table0", "ends too early"],
  ["$0 + 1", "has no $0"],
  ["$1 = q; k", "cannot stand"],
  ["q # 3", 'cannot be read from " # 3" on'],
  ["3z", 'has "3z", which is no number'],
  [`${"(".repeat(2000)}q`, "is nested more than 500 deep"],
])("%s is refused", (text, message) => {
  try {
    parseFormula(text);
  } catch (error) {
    expect(error).toBeInstanceOf(QkvError);
    expect((error as QkvError).code).toBe("QKV225");
    expect((error as QkvError).message).toContain(message);
    return;
  }
  throw new Error("it was read");
});
