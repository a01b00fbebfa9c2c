import { describe, expect, it } from "vitest";
import { splitCausal } from "../../../src/dsl/lift/attention-formulas.ts";
import { Arena } from "../../../src/ir/arena.ts";
import { symbol } from "../../../src/ir/dim.ts";
import { classAt } from "../../../src/ir/index-analysis/block-structure.ts";
import { seesItself } from "../../../src/ir/index-analysis/diagonal.ts";
import { maskFacts } from "../../../src/ir/index-analysis/facts.ts";
import { blockStructure } from "../../../src/ir/index-analysis/structure.ts";
import { structureFormula } from "../../../src/ir/index-analysis/structure-formula.ts";
import { addedTo } from "../../../src/ir/index-expr/added.ts";
import { lowerFormula } from "../../../src/ir/index-expr/lower.ts";
import { showIndex } from "../../../src/ir/index-expr/show.ts";
import { formulaText, parseFormula } from "../../../src/ir/index-expr/text.ts";
import { applied, type IndexExpr, isTruth, joinedBy, score } from "../../../src/ir/index-expr/types.ts";
import { decayOfScore } from "../../../src/passes/linearise/decay-of-score.ts";
import { classOf, dense } from "./brute.ts";
import {
  abs,
  add,
  and,
  bitAnd,
  bitOr,
  eq,
  k,
  le,
  lt,
  max,
  min,
  mod,
  mul,
  not,
  or,
  q,
  select,
  shiftLeft,
  sub,
} from "./formula.ts";

/** Loops unrolled: formulas of some hundred parts which, written out without sharing, have some 2^40. */
const turns = 40;
type Pair = readonly [IndexExpr, IndexExpr];

function loop(start: Pair, step: (a: IndexExpr, b: IndexExpr, i: number) => Pair): Pair {
  let now = start;
  for (let i = 0; i < turns; i++) now = step(...now, i);
  return now;
}

const masks: Readonly<Record<string, IndexExpr>> = {
  Euclid: or(eq(loop([q, k], (a, b) => [select(eq(b, 0), a, b), select(eq(b, 0), b, mod(a, b))])[0], 1), eq(q, k)),
  "sums of extremes": le(...loop([q, k], (a, b, i) => [add(min(a, b), 1), sub(max(a, b), i)])),
  "distances of extremes": le(...loop([q, k], (a, b, i) => [max(a, abs(sub(a, b))), min(b, sub(a, i))])),
  choices: le(...loop([q, k], (a, b, i) => [select(lt(a, b), b, a), select(lt(a, b), sub(a, i), add(b, 1))])),
  logic: or(
    ...loop([le(k, q), lt(q, mul(k, 2))], (a, b, i) => [
      or(and(a, not(b)), and(b, eq(mod(sub(q, k), i + 2), 0))),
      or(a, b),
    ]),
  ),
  "chosen truth": loop([le(k, q), q], (a, b, i) => [select(a, and(a, le(k, i)), or(a, le(q, i))), b])[0],
  conjunctions: loop([le(k, q), q], (a, b) => [and(a, a), b])[0],
  bits: eq(bitAnd(loop([k, q], (a, b, i) => [bitOr(a, shiftLeft(a, (i % 3) + 1)), b])[0], 64), 0),
};

describe.each(Object.entries(masks))("parts that are shared are looked at once: %s", (_, expr) => {
  const formula = { expr, tables: [] };
  const lengths = { Q: 40, K: 40 };

  it("in what is known of the mask", () => {
    const size = 8;
    const truth = dense(formula, lengths);
    const facts = maskFacts(formula, lengths);
    for (let i = 0; i < 40; i++)
      for (let j = 0; j < 40; j++)
        if (truth[i * 40 + j] === 1) {
          expect(i - j).toBeLessThanOrEqual((facts.reach.back as number | undefined) ?? 40);
          expect(j - i).toBeLessThanOrEqual((facts.reach.ahead as number | undefined) ?? 40);
        }
    const structure = blockStructure(formula, lengths, size);
    for (let i = 0; i < 5; i++)
      for (let j = 0; j < 5; j++) {
        const box = { q: [i * size, i * size + size - 1], k: [j * size, j * size + size - 1] } as const;
        const found = classAt(structure, i, j);
        if (found !== "partial") expect(found).toBe(classOf(truth, 40, box));
      }
    structureFormula(formula, { B: 1, H: 1, Q: symbol("seq"), K: symbol("seq") });
    seesItself(formula, 40, 40);
  });

  it("in its text and its tensors", () => {
    expect(parseFormula(formulaText(expr))).toBe(expr);
    expect(showIndex(formula).length).toBeGreaterThan(0);
    expect(splitCausal(expr).rest.kind).not.toBe("score");
    const { build } = new Arena();
    const lowered = lowerFormula(formula, { build, lengths: { B: 1, H: 1, ...lengths }, dtype: "f32" });
    expect(lowered.type.dtype).toBe("bool");
  });
});

it("what holds besides a part that is too much shared is known", () => {
  expect(maskFacts({ expr: and(le(k, q), masks["distances of extremes"]!), tables: [] }).causal).toBe(true);
});

it("scores that choose over and over", () => {
  let chosen: IndexExpr = score();
  for (let i = 0; i < turns; i++)
    chosen = applied("select", lt(k, i), applied("add", chosen, q), applied("sub", chosen, k));
  const added = addedTo(chosen)!;
  expect(joinedBy("add", added)).not.toContain(score());
  expect(isTruth(added)).toBe(false);
});

it("decays that are squared over and over", () => {
  let distance = sub(q, k);
  for (let i = 0; i < turns; i++) distance = mul(distance, distance);
  expect(decayOfScore(mul(score(), applied("exp", distance)), 2, [])).toBeUndefined();
});
