import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSpec } from "../../src/ir/contraction.ts";
import {
  contractionOrder,
  flopsPerByte,
  leftToRight,
  naiveOperations,
  type OrderProblem,
  orderCost,
  type Step,
} from "../../src/passes/contraction-order.ts";

const problem = (spec: string, sizes: Record<string, number>, more: Partial<OrderProblem> = {}): OrderProblem => ({
  spec: parseSpec(spec),
  sizes: new Map(Object.entries(sizes)),
  ...more,
});

/** Every pairwise order of `count` operands, by joining any two of what is there. */
function* allOrders(count: number): Generator<readonly Step[]> {
  function* join(live: readonly number[], steps: readonly Step[]): Generator<readonly Step[]> {
    if (live.length === 1) yield steps;
    for (let i = 0; i < live.length; i++)
      for (let j = i + 1; j < live.length; j++) {
        const rest = live.filter((_, k) => k !== i && k !== j);
        yield* join([...rest, count + steps.length], [...steps, [live[i]!, live[j]!]]);
      }
  }
  yield* join([...Array(count).keys()], []);
}

/** The least cost over all trees, by sets, written apart from the code under test. */
function referenceOptimum(spec: OrderProblem["spec"], sizes: ReadonlyMap<string, number>, factor: 1 | 2): number {
  const count = spec.operands.length;
  const volume = (labels: Iterable<string>) => [...new Set(labels)].reduce((p, label) => p * sizes.get(label)!, 1);
  let reductions = 0;
  const operands = spec.operands.map((labels, i) => {
    const needed = new Set([...spec.result, ...spec.operands.filter((_, j) => j !== i).flat()]);
    const kept = labels.filter((label) => needed.has(label));
    if (volume(kept) < volume(labels)) reductions += volume(labels);
    return kept;
  });
  const memo = new Map<string, { cost: number; labels: readonly string[] }>();
  const solve = (set: readonly number[]): { cost: number; labels: readonly string[] } => {
    const known = memo.get(set.join());
    if (known) return known;
    const needed = new Set([...spec.result, ...operands.filter((_, i) => !set.includes(i)).flat()]);
    const labels = [...new Set(set.flatMap((i) => operands[i]!))].filter((label) => needed.has(label));
    let cost = set.length === 1 ? 0 : Number.POSITIVE_INFINITY;
    for (let bits = 1; bits < 2 ** (set.length - 1) && set.length > 1; bits++) {
      const a = solve(set.filter((_, i) => bits & (1 << i)));
      const b = solve(set.filter((_, i) => !(bits & (1 << i))));
      const space = volume([...a.labels, ...b.labels]);
      cost = Math.min(cost, a.cost + b.cost + space * (space > volume(labels) ? factor : 1));
    }
    memo.set(set.join(), { cost, labels });
    return { cost, labels };
  };
  return reductions + solve([...Array(count).keys()]).cost;
}

const letters = [..."abcdefghij"];

/** Networks with hyper-edges, batch labels, repeated labels, scalars, outer products, unit sizes and equal operands. */
const networks = (most: number) =>
  fc
    .record({
      operands: fc.array(fc.array(fc.constantFrom(...letters), { maxLength: 4 }), { minLength: 1, maxLength: most }),
      sizes: fc.array(fc.constantFrom(1, 2, 3, 5, 8, 15, 17, 31, 64), { minLength: 10, maxLength: 10 }),
      keep: fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
      measure: fc.constantFrom("flops" as const, "multiplies" as const),
    })
    .map(({ operands, sizes, keep, measure }): OrderProblem => {
      const known = new Set(operands.flat());
      const result = letters.filter((label, i) => known.has(label) && keep[i]! && i % 2 === 0);
      return { spec: { operands, result }, sizes: new Map(letters.map((label, i) => [label, sizes[i]!])), measure };
    });

describe("contractionOrder", () => {
  it("equals the optimum over all trees on random networks of up to 7 operands", () => {
    fc.assert(
      fc.property(networks(7), (given) => {
        const found = contractionOrder(given);
        expect(found.operations).toBe(
          referenceOptimum(given.spec, given.sizes, given.measure === "multiplies" ? 1 : 2),
        );
        expect(orderCost(given, found.steps)).toEqual(orderCost(given, found.steps));
      }),
      { numRuns: 600, seed: 1 },
    );
  });

  it("equals the least of every order listed one by one, weights and ties included, on up to 5 operands", () => {
    const withWeights = fc.tuple(networks(5), fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }));
    fc.assert(
      fc.property(withWeights, ([given, flags]) => {
        const weighted = { ...given, foldable: flags.slice(0, given.spec.operands.length) };
        const found = contractionOrder(weighted);
        let best = Number.POSITIVE_INFINITY;
        let peak = Number.POSITIVE_INFINITY;
        for (const steps of allOrders(given.spec.operands.length)) {
          const order = orderCost(weighted, steps);
          if (order.cost < best) peak = Number.POSITIVE_INFINITY;
          best = Math.min(best, order.cost);
          if (order.cost === best) peak = Math.min(peak, order.peak);
        }
        expect(found.cost).toBe(best);
        if (!flags.some(Boolean)) expect(found.peak).toBe(peak);
      }),
      { numRuns: 300, seed: 2 },
    );
  });
});

export { flopsPerByte, leftToRight, naiveOperations, problem };
