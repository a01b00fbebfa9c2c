import { expect, test } from "vitest";
import type { VariantReport } from "../src/compare-report.ts";
import { crossoversOf, growthOf, type SweepRun } from "../src/growth.ts";
import type { GraphCost } from "../src/ir/cost.ts";
import { type Dim, evaluate, mul, product, symbol } from "../src/ir/dim.ts";

const seq = symbol("seq");
const square = product([4, seq, seq]);
const line = product([400, seq]);

interface Planted {
  readonly name: string;
  readonly ms: (seq: number) => number;
  readonly cost?: (seq: number) => Dim;
  readonly equal?: boolean;
  /** Half of the range of the samples, over the median. */
  readonly wide?: number;
}

/** Runs as a comparison would give them, with times by a formula. */
function planted(lengths: readonly number[], variants: readonly Planted[], dims: object = {}): readonly SweepRun[] {
  return lengths.map((length) => {
    const costs = new Map<string, GraphCost>();
    const reports = variants.map(({ name, ms, cost, equal = true, wide = 0.01 }): VariantReport => {
      const [median, flops] = [ms(length), cost?.(length)];
      if (flops !== undefined)
        costs.set(name, { flops, bytes: mul(4, flops), nodes: 1, params: 0, paramBytes: 0, heldBytes: 0 });
      const count = flops === undefined ? null : evaluate(flops, new Map([["seq", length]]));
      return {
        name,
        level: "all",
        nodes: 1,
        placement: {},
        params: 0,
        flops: count,
        bytes: count === null ? null : 4 * count,
        peakBytes: null,
        latencyMs: { median, p10: median * (1 - wide), p90: median * (1 + wide), n: 9 },
        maxAbsError: 0,
        maxRelError: 0,
        equal,
        unrounded: false,
      };
    });
    return {
      report: {
        dims: { ...dims, seq: length },
        reference: "float64 reference",
        realPositionsOf: null,
        fileRefused: null,
        variants: reports,
      },
      costs,
    };
  });
}

const doubling = [16, 32, 64, 128, 256, 512, 1024];
const naive: Planted = { name: "naive", ms: (n) => n ** 2 / 1e4, cost: () => square };
const optimised: Planted = { name: "optimised", ms: (n) => n / 50, cost: () => line };

const only = <T>(list: readonly T[]): T => {
  expect(list).toHaveLength(1);
  return list[0]!;
};

test("finds the powers that were planted", () => {
  const { symbol: name, lengths, variants } = only(growthOf(planted(doubling, [naive, optimised])));
  expect([name, lengths]).toEqual(["seq", doubling]);
  expect(variants.map(({ latencyMs }) => latencyMs.order)).toEqual([2, 1]);
  expect(variants.map(({ flops, bytes }) => [flops.order, bytes.order])).toEqual([
    [2, 2],
    [1, 1],
  ]);
  expect(variants[0]!.flops).toMatchObject({ by: "formula", formula: "4*seq^2", from: 16, to: 1024, points: 7 });
  expect(variants[0]!.latencyMs).toMatchObject({
    by: "fit",
    formula: null,
    from: 128,
    to: 1024,
    points: 4,
    spread: [2, 2],
  });
  expect(variants[0]!.peakBytes).toMatchObject({ order: null, by: null, note: "not known" });
});

test("fits the larger lengths, where the fixed cost of a run counts little, and one bad time does not matter", () => {
  const overhead: Planted = { name: "naive", ms: (n) => (n === 256 ? 3 : 1) * (5 + n ** 2 / 100) };
  const fit = only(growthOf(planted(doubling, [overhead]))).variants[0]!.latencyMs;
  expect(Math.abs(fit.order! - 2)).toBeLessThan(0.15);
  expect(fit.spread![1]).toBeGreaterThan(3);
});

test("says nothing about powers from fewer than three lengths, but formulas have degrees", () => {
  const { variants } = only(growthOf(planted([64, 512], [naive])));
  expect(variants[0]!.latencyMs).toMatchObject({ order: null, note: "2 lengths; a fit takes 3", points: 2 });
  expect(variants[0]!.flops).toMatchObject({ order: 2, by: "formula" });
  const ofOne = only(growthOf([...planted([64], [naive, optimised]), ...planted([512], [naive])]));
  expect(ofOne.variants[1]!.latencyMs.note).toBe("1 length; a fit takes 3");
});

test("has no growth without a sweep", () => {
  expect(growthOf(planted([64], [naive]))).toEqual([]);
  expect(crossoversOf(planted([64], [naive, optimised]))).toEqual([]);
  expect(growthOf([])).toEqual([]);
});

test("a formula counts from the length on where the graph is the same", () => {
  const changing: Planted = { ...optimised, cost: (n) => (n < 100 ? square : line) };
  expect(only(growthOf(planted(doubling, [changing]))).variants[0]!.flops).toMatchObject({
    order: 1,
    by: "formula",
    from: 128,
  });
});

test("where every length has a formula of its own, what they give is fitted", () => {
  const cut: Planted = { ...optimised, cost: (n) => product([n, seq]) };
  expect(only(growthOf(planted(doubling, [cut]))).variants[0]!.flops).toMatchObject({
    order: 2,
    by: "fit",
    formula: null,
  });
});

test("times of wrong outputs do not count", () => {
  const [report] = growthOf(planted(doubling, [naive, { ...optimised, equal: false }]));
  expect(report!.variants[1]!.latencyMs.order).toBeNull();
  const { latency } = only(crossoversOf(planted(doubling, [naive, { ...optimised, equal: false }])));
  expect(latency).toMatchObject({ crossings: [], throughout: null, note: expect.stringContaining("equal outputs") });
});

test("finds where lines cross, between the neighbouring lengths", () => {
  // n²/10⁴ = n/50 at 200; 4n² = 400n at 100.
  const { variants, latency, flops } = only(crossoversOf(planted(doubling, [naive, optimised])));
  expect(variants).toEqual(["naive", "optimised"]);
  expect(latency.crossings).toEqual([{ faster: "optimised", between: [128, 256], about: 200 }]);
  expect(flops).toEqual({ fewer: "optimised", condition: "seq > 100" });
});

test("the order in which lengths were run does not matter", () => {
  const shuffled = [256, 16, 1024, 64, 512, 32, 128];
  expect(crossoversOf(planted(shuffled, [naive, optimised]))).toEqual(
    crossoversOf(planted(doubling, [naive, optimised])),
  );
  expect(growthOf(planted(shuffled, [naive, optimised]))).toEqual(growthOf(planted(doubling, [naive, optimised])));
});

test("a length at which they are as fast lies inside of the crossing", () => {
  const crossing = only(crossoversOf(planted([50, 100, 200, 400, 800], [naive, optimised]))).latency.crossings;
  expect(crossing).toEqual([{ faster: "optimised", between: [100, 400], about: 200 }]);
});

test("overtaking and being overtaken are two crossings", () => {
  const bump: Planted = { name: "ort", ms: (n) => (n >= 64 && n <= 256 ? 0.5 : 2) * naive.ms(n) };
  const { crossings, throughout } = only(crossoversOf(planted(doubling, [naive, bump]))).latency;
  expect(crossings.map(({ faster, between }) => [faster, between])).toEqual([
    ["ort", [32, 64]],
    ["naive", [256, 512]],
  ]);
  expect(throughout).toBeNull();
});

test("differences within noise are none", () => {
  const alike: Planted = { ...naive, name: "ort", ms: (n) => naive.ms(n) * (n % 64 === 0 ? 1.02 : 0.98) };
  const spread: Planted = { ...naive, name: "ort", ms: (n) => naive.ms(n) * 1.08, wide: 0.2 };
  for (const other of [alike, spread])
    expect(only(crossoversOf(planted(doubling, [{ ...naive, wide: 0.2 }, other]))).latency).toMatchObject({
      crossings: [],
      throughout: null,
      lengths: 7,
      apart: 0,
    });
});

test("who is ahead everywhere is never overtaken", () => {
  const faster: Planted = { ...optimised, ms: (n) => n / 1000 };
  expect(only(crossoversOf(planted(doubling, [naive, faster]))).latency).toMatchObject({
    crossings: [],
    throughout: "optimised",
    apart: 7,
  });
});

test("a file that is not ours has no formulas; a variant without a rule meets the optimised one only", () => {
  const foreign: Planted = { name: "other.onnx", ms: (n) => n };
  const ablated: Planted = { ...optimised, name: "without reassociate" };
  const found = crossoversOf(planted(doubling, [naive, optimised, foreign, ablated]));
  expect(found.map(({ variants }) => variants.join(" "))).toEqual([
    "naive optimised",
    "naive other.onnx",
    "optimised other.onnx",
    "optimised without reassociate",
  ]);
  expect(found[1]!.flops).toBeNull();
  expect(found[3]!.flops).toEqual({ fewer: null, condition: null });
});

test("sweeps over several dimensions are told apart", () => {
  const runs = [1, 8].flatMap((batch) => planted([64, 128, 256], [naive, optimised], { batch }));
  const growth = growthOf(runs);
  expect(growth.map(({ symbol: name, dims, lengths }) => [name, dims, lengths])).toEqual([
    ["batch", { seq: 64 }, [1, 8]],
    ["batch", { seq: 128 }, [1, 8]],
    ["batch", { seq: 256 }, [1, 8]],
    ["seq", { batch: 1 }, [64, 128, 256]],
    ["seq", { batch: 8 }, [64, 128, 256]],
  ]);
  expect(growth[0]!.variants[0]!.flops.order).toBe(0);
});
