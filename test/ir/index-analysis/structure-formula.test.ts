import { describe, expect, it } from "vitest";
import { type Dim, evaluate, symbol } from "../../../src/ir/dim.ts";
import { blockStructure } from "../../../src/ir/index-analysis/structure.ts";
import { structureFormula } from "../../../src/ir/index-analysis/structure-formula.ts";
import type { IndexFormula } from "../../../src/ir/index-expr/types.ts";
import { abs, add, and, eq, floorDiv, formula, ge, gt, h, k, le, lt, mod, not, or, q, sub } from "./formula.ts";

const n = symbol("seq");
const lengths = { B: 1, H: 1, Q: n, K: n } as const;
const distance = sub(q, k);

const masks: [string, IndexFormula][] = [
  ["causal", formula(le(k, q))],
  ["not later", formula(not(gt(k, q)))],
  ["window", formula(and(le(k, q), lt(distance, 13)))],
  ["narrow window", formula(and(le(k, q), lt(distance, 3)))],
  ["both ways", formula(le(abs(distance), 21))],
  ["one ahead", formula(and(le(distance, 5), le(k, add(q, 9))))],
  ["fractions of numbers", formula(le(abs(distance), 10.5))],
  ["the diagonal", formula(le(abs(distance), 0))],
  ["dilated window", formula(and(le(abs(distance), 20), eq(mod(abs(distance), 3), 0)))],
  ["dilated", formula(eq(mod(abs(distance), 4), 0))],
  ["strided causal", formula(and(ge(distance, 0), eq(mod(distance, 4), 0)))],
  ["tiles", formula(eq(floorDiv(q, 24), floorDiv(k, 24)))],
  ["causal tiles", formula(and(eq(floorDiv(q, 24), floorDiv(k, 24)), le(k, q)))],
  ["prefix", formula(or(lt(k, 16), le(k, q)))],
  ["sinks", formula(or(lt(k, 8), and(le(k, q), lt(distance, 13))))],
  ["global and window", formula(or(le(abs(distance), 10), lt(q, 16), lt(k, 16)))],
];

describe("counts of blocks in closed form", () => {
  it.each(masks)("%s: at every length", (_, mask) => {
    const counts = structureFormula(mask, lengths, 8)!;
    for (let length = 1; length <= 130; length++) {
      const { full, partial, empty } = blockStructure(mask, { Q: length, K: length }, 8);
      const at = (dim: Dim) => evaluate(dim, new Map([["seq", length]]));
      expect({ length, full: at(counts.full), partial: at(counts.partial), empty: at(counts.empty) }).toEqual({
        length,
        full,
        partial,
        empty,
      });
    }
  });

  it("there are for a million positions too", () => {
    const { full, partial } = structureFormula(formula(le(k, q)), lengths)!;
    const at = (dim: Dim) => evaluate(dim, new Map([["seq", 1_000_000]]));
    expect([at(full), at(partial)]).toEqual([30_517_578, 7813]);
  });

  it.each([
    ["a sum", formula(le(add(q, k), 9))],
    ["a multiple", formula(le(sub(q, add(k, k)), 9))],
    ["heads", formula(le(distance, h))],
    ["a prefix of parts of blocks", formula(or(lt(k, 5), le(k, q)))],
    ["columns that are no prefix", formula(or(eq(mod(k, 7), 0), le(k, q)))],
    ["tiles of parts of blocks", formula(eq(floorDiv(q, 20), floorDiv(k, 20)))],
    ["strictly before", formula(lt(k, q))],
    ["a stride off the diagonal", formula(eq(mod(abs(add(distance, 1)), 3), 0))],
    ["a stride longer than a block", formula(eq(mod(abs(distance), 30), 0))],
    ["what is far away", formula(gt(abs(distance), 3))],
    ["what is not near", formula(not(le(abs(distance), 3)))],
    ["fractions", formula(le(k, add(q, 0.5)))],
    ["strides of fractions", formula(eq(mod(abs(distance), 2.5), 0))],
    ["two strides", formula(and(eq(mod(distance, 3), 0), eq(mod(distance, 4), 0)))],
    ["a product", formula(eq(mod(abs(distance), k), 0))],
    ["a wave", formula(or(le(k, q), eq(mod(q, 3), mod(k, 2))))],
  ] as const)("none for %s", (_, mask) => {
    expect(structureFormula(mask, lengths, 8)).toBeUndefined();
  });

  it("none where queries and keys differ", () => {
    expect(structureFormula(formula(le(k, q)), { ...lengths, K: symbol("keys") }, 8)).toBeUndefined();
  });
});
