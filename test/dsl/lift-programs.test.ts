import { describe, expect, test } from "vitest";
import { type FunctionKind, liftFunction } from "../../src/dsl/lift/lift.ts";
import { maskTable, scoreTable } from "../../src/index.ts";
import { indexEvaluator } from "../../src/ir/index-expr/evaluate.ts";
import { distance, runtimeTables, type Sizes, scoreAt } from "./support/formula-table.ts";
import { oddMasks, oddScores } from "./support/programs.ts";

/** Programs of JavaScript, lifted; the function itself, called with numbers, says what they mean. */
const sizes: Sizes = { B: 2, H: 2, Q: 9, K: 13 };

function* points({ B, H, Q, K }: Sizes) {
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++) for (let q = 0; q < Q; q++) for (let k = 0; k < K; k++) yield { b, h, q, k };
}

function formulaTable(fn: unknown, kind: FunctionKind): Float64Array {
  const evaluate = indexEvaluator(liftFunction(fn, kind, sizes));
  return Float64Array.from([...points(sizes)].map((at, i) => evaluate({ ...at, s: scoreAt(i), lengths: sizes })));
}

const scoreOf = ({ b, h, q, k }: { b: number; h: number; q: number; k: number }) =>
  scoreAt(((b * sizes.H + h) * sizes.Q + q) * sizes.K + k);

const masks = oddMasks.map(([name, fn]) => [name, fn, maskTable(fn, sizes).data as ArrayLike<number>] as const);
const scores = oddScores.map(
  ([name, fn]) => [name, fn, scoreTable(fn, sizes, scoreOf).data as ArrayLike<number>] as const,
);

describe("the formula", () => {
  test.each(masks)("of the mask: %s", (_, fn, expected) =>
    expect(distance(formulaTable(fn, "mask"), expected)).toBe(0),
  );
  test.each(scores)("of the score: %s", (_, fn, expected) =>
    expect(distance(formulaTable(fn, "score"), expected)).toBeLessThan(1e-15),
  );
});

describe.each([
  { open: false, naive: true },
  { open: false, naive: false },
  { open: true, naive: true },
  { open: true, naive: false },
])("in the runtime, lengths open $open, naive $naive", (way) => {
  test("masks", async () => {
    const tables = await runtimeTables(
      masks.map(([, fn]) => fn),
      "mask",
      sizes,
      way,
    );
    const wrong = masks.filter(([, , expected], i) => distance(tables[i]!, expected) > 0).map(([name]) => name);
    expect(wrong).toEqual([]);
  });

  test("scores", async () => {
    const tables = await runtimeTables(
      scores.map(([, fn]) => fn),
      "score",
      sizes,
      way,
    );
    // Functions beyond arithmetic may differ by some units in the last place of f64 between engines.
    const wrong = scores.filter(([, , expected], i) => distance(tables[i]!, expected) > 1e-13).map(([name]) => name);
    expect(wrong).toEqual([]);
  });
});
