import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSpec } from "../../src/ir/contraction.ts";
import {
  contractionOrder,
  flopsPerByte,
  leftToRight,
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

  it("finds the textbook matrix chain: 15,125 multiplications", () => {
    const chain = problem("a b, b c, c d, d e, e f, f g -> a g", { a: 30, b: 35, c: 15, d: 5, e: 10, f: 20, g: 25 });
    expect(contractionOrder({ ...chain, measure: "multiplies" }).operations).toBe(15_125);
    expect(contractionOrder(chain).operations).toBe(30_250);
  });

  it("takes an outer product where that is cheapest", () => {
    const star = problem("a, b, a b c -> c", { a: 2, b: 2, c: 1000 });
    const { steps } = contractionOrder({ ...star, measure: "multiplies" });
    expect(steps[0]).toEqual([0, 1]);
  });

  it("keeps the order as written among equals", () => {
    const equal = problem("a b, b c, c d -> a d", { a: 8, b: 8, c: 8, d: 8 });
    expect(contractionOrder(equal).steps).toEqual(leftToRight(3));
  });

  it("has no steps for one operand, but the cost of its sum", () => {
    const sum = contractionOrder(problem("a b a -> b", { a: 3, b: 5 }));
    expect(sum).toMatchObject({ steps: [], operations: 15 });
    expect(contractionOrder(problem(" -> ", {}))).toMatchObject({ steps: [], operations: 0 });
  });
});

describe("weights", () => {
  it("are multiplied ahead where they do not outgrow what they replace", () => {
    const square = problem("n i, i j, j k -> n k", { n: 4, i: 64, j: 64, k: 64 }, { foldable: [false, true, true] });
    expect(contractionOrder(square).steps[0]).toEqual([1, 2]);
    expect(contractionOrder(square).foldedOperations).toBe(2 * 64 ** 3);
  });

  it("stay apart where their product outgrows them by more than the work it saves", () => {
    const low = problem("n i, i r, r k -> n k", { n: 4, i: 64, r: 4, k: 64 }, { foldable: [false, true, true] });
    expect(contractionOrder(low).steps).toEqual(leftToRight(3));
  });

  it("pay for every byte they gain, and beyond the limit are work of the run", () => {
    const grown = problem("n, i, i n -> i", { n: 64, i: 64 }, { foldable: [true, true, false], freedBytes: [0, 0, 0] });
    const ahead: readonly Step[] = [
      [0, 1],
      [3, 2],
    ];
    expect(orderCost(grown, ahead).cost - orderCost(grown, ahead).operations).toBe(flopsPerByte * 64 * 64 * 4);
    const limited = { ...grown, foldLimitBytes: 64 };
    expect(orderCost(limited, ahead).operations - orderCost(grown, ahead).operations).toBe(64 * 64);
  });
});

describe("above the exact limit", () => {
  const random = (count: number, seed: number): OrderProblem => {
    let state = seed;
    const next = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return (state >>> 8) % below;
    };
    const operands: string[][] = Array.from({ length: count }, () => []);
    const sizes = new Map<string, number>();
    for (let edge = 0; edge < 2 * count; edge++) {
      const label = `l${edge}`;
      sizes.set(label, 2 + next(6));
      for (let end = 0; end < 2; end++) operands[edge < count && end === 0 ? edge : next(count)]!.push(label);
    }
    return { spec: { operands, result: [] }, sizes };
  };

  it.each([13, 15, 17, 31, 33, 64, 65, 200])(
    "%i operands: never costlier than left to right, and the same each time",
    (count) => {
      for (const seed of [1, 2]) {
        const given = random(count, seed);
        const found = contractionOrder(given);
        expect(found.steps).toHaveLength(count - 1);
        expect(found.cost).toBeLessThanOrEqual(orderCost(given, leftToRight(count)).cost);
        expect(contractionOrder(given).steps).toEqual(found.steps);
      }
    },
  );

  it("solves long chains exactly", () => {
    const count = 40;
    const size = (i: number) => 1 + ((i * 37) % 29);
    const operands = Array.from({ length: count }, (_, i) => [`l${i}`, `l${i + 1}`]);
    const spec = { operands, result: ["l0", `l${count}`] };
    const sizes = new Map(Array.from({ length: count + 1 }, (_, i) => [`l${i}`, size(i)]));
    const least = Array.from({ length: count }, () => new Array<number>(count).fill(0));
    for (let length = 2; length <= count; length++)
      for (let from = 0; from + length <= count; from++) {
        const to = from + length - 1;
        least[from]![to] = Number.POSITIVE_INFINITY;
        for (let cut = from; cut < to; cut++) {
          const work = size(from) * size(cut + 1) * size(to + 1);
          least[from]![to] = Math.min(least[from]![to]!, least[from]![cut]! + least[cut + 1]![to]! + work);
        }
      }
    const found = contractionOrder({ spec, sizes, measure: "multiplies" });
    expect(found.operations).toBeLessThanOrEqual(least[0]![count - 1]!);
  });

  it("solves twelve operands that all meet each other, with more labels than a word has bits", () => {
    const count = 12;
    const operands: string[][] = Array.from({ length: count }, () => []);
    const sizes = new Map<string, number>();
    for (let i = 0; i < count; i++)
      for (let j = i + 1; j < count; j++) {
        for (const end of [i, j]) operands[end]!.push(`l${i}_${j}`);
        sizes.set(`l${i}_${j}`, 2 + ((i * 31 + j * 17) % 3));
      }
    const given = { spec: { operands, result: [] }, sizes };
    expect(contractionOrder(given).cost).toBeLessThanOrEqual(orderCost(given, leftToRight(count)).cost);
  });
});
