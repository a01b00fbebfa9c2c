import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classAt } from "../../../src/ir/index-analysis/block-structure.ts";
import { type Box, classifyBlock, classifyBox } from "../../../src/ir/index-analysis/classify.ts";
import { boxProgram } from "../../../src/ir/index-analysis/program.ts";
import { blockStructure } from "../../../src/ir/index-analysis/structure.ts";
import { indexEvaluator } from "../../../src/ir/index-expr/evaluate.ts";
import { showIndex } from "../../../src/ir/index-expr/show.ts";
import { applied, constant, type IndexExpr, index, lookup } from "../../../src/ir/index-expr/types.ts";
import { classOf, dense } from "./brute.ts";
import { interleavedMask, plausibleMask, randomMask, randomNumber, tables } from "./random-mask.ts";

const lengths = { B: 2, H: 3, Q: 70, K: 70 };

const range = fc
  .tuple(fc.integer({ min: 0, max: 69 }), fc.integer({ min: 0, max: 20 }))
  .map(([first, more]) => [first, Math.min(69, first + more)] as const);
const box = fc.tuple(range, range).map(([q, k]): Box => ({ q, k }));

function* points({ q, k }: Box, B: number, H: number) {
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let i = q[0]; i <= q[1]; i++) for (let j = k[0]; j <= k[1]; j++) yield { b, h, q: i, k: j, lengths };
}

function exactClass(expr: IndexExpr, where: Box) {
  const evaluate = indexEvaluator({ expr, tables });
  const seen = new Set<boolean>();
  for (const point of points(where, 2, 3)) {
    seen.add(evaluate(point) !== 0);
    if (seen.size === 2) return "partial";
  }
  return seen.has(true) ? "full" : "empty";
}

describe("classes of blocks", () => {
  it("are never wrong, whatever the mask", () => {
    fc.assert(
      fc.property(randomMask, box, (expr, where) => {
        const found = classifyBox(boxProgram({ expr, tables }, lengths), where);
        if (found.class !== "partial" || found.because === "proven")
          expect(`${showIndex({ expr, tables })} ${found.class}`).toBe(
            `${showIndex({ expr, tables })} ${exactClass(expr, where)}`,
          );
      }),
      { numRuns: 2000 },
    );
  });

  it("are exact for masks of comparisons, tiles and remainders", () => {
    fc.assert(
      fc.property(plausibleMask, box, (expr, where) => {
        expect(classifyBlock({ expr, tables }, where, lengths)).toBe(exactClass(expr, where));
      }),
      { numRuns: 1000 },
    );
  });

  it("come from bounds of every part that hold", () => {
    fc.assert(
      fc.property(randomNumber, box, (expr, where) => {
        const program = boxProgram({ expr, tables }, lengths);
        program.verdict(...where.q, ...where.k);
        const root = program.parts.length - 1;
        const { lo, hi, mod, rem } = program.slots;
        if (mod[root] === -2) return;
        const evaluate = indexEvaluator({ expr, tables });
        for (const point of points(where, 2, 3)) {
          const value = evaluate(point);
          const inside = value >= lo[root]! && value <= hi[root]!;
          const congruent = mod[root]! < 1 || Math.abs((value - rem[root]!) % mod[root]!) === 0;
          if (!inside || !congruent)
            throw new Error(
              `${showIndex({ expr, tables })} is ${value}, not in [${lo[root]}, ${hi[root]}] ≡ ${rem[root]} mod ${mod[root]}`,
            );
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("tell heads apart where asked to", () => {
    const expr = index("h");
    expect(classifyBlock({ expr, tables }, { q: [0, 5], k: [0, 5], h: [0, 0] }, lengths)).toBe("empty");
    expect(classifyBlock({ expr, tables }, { q: [0, 5], k: [0, 5], h: [1, 2] }, lengths)).toBe("full");
    expect(classifyBlock({ expr, tables }, { q: [0, 5], k: [0, 5] }, lengths)).toBe("partial");
  });
});

describe("structures", () => {
  it("say what is not known of magnitudes that leave out 0", () => {
    const expr = applied("greater", applied("abs", lookup(1, [index("q")])), constant(0));
    const { full, unproven } = blockStructure({ expr, tables }, { Q: 4, K: 4 }, 4);
    expect({ full, unproven }).toEqual({ full: 1, unproven: 0 });
  });

  it.each([
    ["plausible", plausibleMask],
    ["interleaved", interleavedMask],
    ["any", randomMask],
  ])("of %s masks agree with every block", (_, masks) => {
    const size = fc.constantFrom(1, 3, 4, 5, 8);
    fc.assert(
      fc.property(
        masks,
        size,
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 90 }),
        (expr, block, Q, K) => {
          const mask = { expr, tables };
          const structure = blockStructure(mask, { Q, K }, block);
          const truth = dense(mask, { Q, K });
          const counts = { full: 0, partial: 0, empty: 0 };
          for (let i = 0; i < structure.rows; i++)
            for (let j = 0; j < structure.columns; j++) {
              const where: Box = {
                q: [i * block, Math.min((i + 1) * block, Q) - 1],
                k: [j * block, Math.min((j + 1) * block, K) - 1],
              };
              const found = classAt(structure, i, j);
              const expected = classOf(truth, K, where);
              counts[found]++;
              if (found !== expected && (found !== "partial" || structure.unproven === 0))
                throw new Error(`${showIndex(mask)}: block ${i}, ${j} of ${block} is ${found}, not ${expected}`);
            }
          const { full, partial, empty } = structure;
          expect(counts).toEqual({ full, partial, empty });
        },
      ),
      { numRuns: 600 },
    );
  });
});
