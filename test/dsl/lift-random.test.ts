import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { type FunctionKind, liftFunction } from "../../src/dsl/lift/lift.ts";
import { type MaskFunction, maskTable, type ScoreFunction, scoreTable } from "../../src/index.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { indexEvaluator } from "../../src/ir/index-expr/evaluate.ts";
import { partsInOrder } from "../../src/ir/index-expr/types.ts";
import { distance, runtimeTables, type Sizes, scoreAt } from "./support/formula-table.ts";
import { captured, maskProgram, scoreProgram } from "./support/random-program.ts";

const sizes: Sizes = { B: 2, H: 2, Q: 5, K: 7 };
const point = fc.record({ b: fc.nat(1), h: fc.nat(1), q: fc.nat(4), k: fc.nat(6) });
const names = Object.keys(captured);
const made = (source: string) => new Function(...names, `return ${source};`)(...Object.values(captured));

/** A program may grow beyond what is lifted; nothing else may stand in its way. */
function lifting<T>(lift: () => T): T | undefined {
  try {
    return lift();
  } catch (error) {
    if (error instanceof QkvError && error.code === "QKV152") return undefined;
    throw error;
  }
}

test.each([
  ["score", scoreProgram],
  ["mask", maskProgram],
] as const)("a random %s means what JavaScript says", (kind, program) => {
  fc.assert(
    fc.property(program, fc.array(point, { minLength: 8, maxLength: 8 }), (source, points) => {
      const fn = made(source);
      const formula = lifting(() => liftFunction(fn, kind, sizes));
      if (!formula) return;
      const evaluate = indexEvaluator(formula);
      points.forEach((at, i) => {
        const wanted = kind === "mask" ? Number(fn(at)) : fn(scoreAt(i), at);
        const got = evaluate({ ...at, s: scoreAt(i), lengths: sizes });
        expect(distance([got], [wanted]), `${source} at ${JSON.stringify(at)}: ${got}, not ${wanted}`).toBeLessThan(
          1e-14,
        );
      });
    }),
    { numRuns: 250 },
  );
});

/** A dozen programs whose formulas are no graphs of thousands of nodes, and say something of the indices. */
function small(sources: readonly string[], kind: FunctionKind): readonly string[] {
  const fits = sources.filter((source) => {
    const formula = lifting(() => liftFunction(made(source), kind, sizes));
    const parts = formula ? partsInOrder(formula.expr).length : 0;
    return parts > 10 && parts < 150;
  });
  expect(fits.length).toBeGreaterThan(20);
  return fits.slice(0, 12);
}

const folder = mkdtempSync(join(tmpdir(), "qkv-random-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** From the text of a file to numbers of the runtime. */
test("random programs of a file, lifted, compiled and run", async () => {
  const scores = small(fc.sample(scoreProgram, { numRuns: 120, seed: 5 }), "score");
  const masks = small(fc.sample(maskProgram, { numRuns: 120, seed: 6 }), "mask");
  const file = join(folder, "programs.mjs");
  const constants = Object.entries(captured).map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  const lists = [`export const scores = [${scores.join(",\n")}];`, `export const masks = [${masks.join(",\n")}];`];
  writeFileSync(file, [...constants, ...lists].join("\n"));
  const loaded = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as {
    readonly scores: readonly ScoreFunction[];
    readonly masks: readonly MaskFunction[];
  };
  const indexOf = ({ b, h, q, k }: { b: number; h: number; q: number; k: number }) =>
    ((b * sizes.H + h) * sizes.Q + q) * sizes.K + k;
  for (const open of [false, true]) {
    const scoreTables = await runtimeTables(loaded.scores, "score", sizes, { open, naive: true });
    loaded.scores.forEach((fn, i) => {
      const wanted = scoreTable(fn, sizes, (at) => scoreAt(indexOf(at))).data as ArrayLike<number>;
      expect(distance(scoreTables[i]!, wanted), scores[i]).toBeLessThan(1e-12);
    });
    const maskTables = await runtimeTables(loaded.masks, "mask", sizes, { open, naive: true });
    loaded.masks.forEach((fn, i) => {
      expect(distance(maskTables[i]!, maskTable(fn, sizes).data as ArrayLike<number>), masks[i]).toBe(0);
    });
  }
});
