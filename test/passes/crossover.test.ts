import fc from "fast-check";
import { expect, it } from "vitest";
import { add, evaluate, mul, product, symbol } from "../../src/ir/dim.ts";
import { crossover } from "../../src/passes/crossover.ts";

const n = symbol("n");
const [dk, dv] = [symbol("dk"), symbol("dv")];

it("solves a linear difference as a formula, common factors gone", () => {
  const written = add(product([2, n, n, dk]), product([2, n, n, dv]));
  const other = product([4, n, dk, dv]);
  expect(crossover(written, other, "n")).toMatchObject({ condition: "n > 2*dk*dv/(dk + dv)", above: true });
  expect(crossover(other, written, "n")).toMatchObject({ condition: "n < 2*dk*dv/(dk + dv)", above: false });
  const sizes = new Map([
    ["dk", 64],
    ["dv", 64],
  ]);
  expect(crossover(written, other, "n", sizes)?.at).toBe("n > 64");
});

it("solves it as a number where there is no other symbol", () => {
  expect(crossover(product([4, 64, n, n]), product([4, 64, 64, n]), "n")).toEqual({
    symbol: "n",
    condition: "n > 64",
    threshold: 64,
    above: true,
    more: false,
  });
});

it("finds the roots of a quadratic by bisection", () => {
  // n² - 50n + 96 < 0 between 2 and 48: the second is dearer only there.
  const difference = add(product([n, n]), add(mul(-50, n), 96));
  const found = crossover(add(difference, mul(1000, n)), mul(1000, n), "n");
  expect(found).toMatchObject({ condition: "n <= 1", more: true });
});

it("has nothing to say where one is never dearer, or where nothing is known", () => {
  expect(crossover(mul(2, n), n, "n")).toBeUndefined();
  expect(crossover(n, n, "n")).toBeUndefined();
  expect(crossover(add(product([n, n]), dk), add(product([7, n]), dv), "n")).toBeUndefined();
  expect(crossover(mul(n, dk), mul(n, dv), "n")).toBeUndefined();
  // Beyond any length that is considered.
  expect(crossover(n, 2 ** 30, "n")).toBeUndefined();
});

it("agrees with the costs on either side of the threshold", () => {
  const coefficient = fc.integer({ min: 0, max: 500 });
  fc.assert(
    fc.property(
      fc.array(coefficient, { minLength: 3, maxLength: 3 }),
      fc.array(coefficient, { minLength: 3, maxLength: 3 }),
      (a, b) => {
        const [first, second] = [a, b].map(([x, y, z]) => add(mul(x!, product([n, n])), add(mul(y!, n), z!))) as [
          ReturnType<typeof add>,
          ReturnType<typeof add>,
        ];
        const found = crossover(first, second, "n");
        if (found?.threshold === undefined) return;
        const gains = (at: number) => evaluate(first, new Map([["n", at]])) > evaluate(second, new Map([["n", at]]));
        expect(gains(found.threshold)).toBe(!found.above);
        expect(gains(found.threshold + 1)).toBe(found.above);
      },
    ),
    { numRuns: 300, seed: 4 },
  );
});
