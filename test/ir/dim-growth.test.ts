import fc from "fast-check";
import { expect, test } from "vitest";
import {
  add,
  ceilDiv,
  type Dim,
  evaluate,
  floorDiv,
  max,
  min,
  mod,
  mul,
  product,
  sub,
  symbol,
} from "../../src/ir/dim.ts";
import { growthDegree } from "../../src/ir/dim-growth.ts";

const [n, w, b] = [symbol("n"), symbol("w"), symbol("b")];
const sizes = new Map([
  ["w", 256],
  ["b", 8],
]);

test.each<readonly [string, Dim, number | undefined]>([
  ["a number", 7, 0],
  ["another symbol", product([b, b, w]), 0],
  ["a polynomial", add(product([3, n, n, b]), mul(100000, n)), 2],
  ["blocks of a length", product([n, ceilDiv(n, w)]), 2],
  ["blocks of a fixed window", product([ceilDiv(n, 128), 128, 384]), 1],
  ["what is left over", mul(1000, mod(n, 128)), 0],
  ["at most a window", product([n, min(n, w)]), 1],
  ["at least a window", max(mul(2, n), product([w, w])), 1],
  ["the larger of two lines", max(mul(2, n), add(mul(3, n), -1000)), 1],
  ["whole blocks less their length, at most", sub(product([128, ceilDiv(n, 128), n]), product([n, n])), 1],
  ["half blocks", product([floorDiv(n, 2), floorDiv(n, 2), floorDiv(n, 2)]), 3],
  ["a divisor that grows", ceilDiv(product([n, n, n]), add(n, 1)), undefined],
  ["a symbol without a size", product([n, symbol("unknown")]), undefined],
])("%s", (_what, dim, degree) => {
  expect(growthDegree(dim, "n", sizes)).toBe(degree);
});

test("is the slope between very large lengths", () => {
  const part = fc.record({
    factor: fc.integer({ min: 1, max: 9 }),
    power: fc.integer({ min: 0, max: 3 }),
    block: fc.integer({ min: 2, max: 300 }),
    kind: fc.constantFrom("plain", "ceil", "floor", "min", "max", "mod"),
  });
  const dimOf = ({ factor, power, block, kind }: { factor: number; power: number; block: number; kind: string }) => {
    const blocks = {
      plain: n,
      ceil: ceilDiv(n, block),
      floor: floorDiv(n, block),
      min: min(n, block),
      max: max(n, block),
      mod: add(1, mod(n, block)),
    };
    return product([factor, blocks[kind as keyof typeof blocks], ...new Array<Dim>(power).fill(n)]);
  };
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
      const dim = parts.map(dimOf).reduce(add);
      const at = (size: number) => evaluate(dim, new Map([["n", size]]));
      // Lengths of one remainder: what mod leaves is the same at both.
      const period = parts.reduce((all, { block }) => all * block, 1);
      const low = period * 2 ** 12;
      expect(growthDegree(dim, "n", new Map())).toBe(
        Math.round(Math.log(at(low * 2 ** 10) / at(low)) / Math.log(2 ** 10)),
      );
    }),
  );
});
