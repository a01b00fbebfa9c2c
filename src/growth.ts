import { type Latency, quantile } from "./backends/ort/measure.ts";
import type {
  Crossing,
  CrossoverReport,
  GrowthOrder,
  GrowthReport,
  RunReport,
  VariantGrowth,
  VariantReport,
} from "./compare-report.ts";
import type { GraphCost } from "./ir/cost.ts";
import { type Dim, evaluate, show } from "./ir/dim.ts";
import { growthDegree } from "./ir/dim-growth.ts";
import { crossover } from "./passes/crossover.ts";

/** One run of a comparison, with the cost formulas of the variants that are ours, by name. */
export interface SweepRun {
  readonly report: RunReport;
  readonly costs: ReadonlyMap<string, GraphCost>;
}

/** Runs that differ in one dimension only, by its size. */
interface Series {
  readonly symbol: string;
  readonly dims: Readonly<Record<string, number>>;
  readonly runs: readonly (SweepRun & { readonly length: number })[];
}

/** How each variant grows along each dimension that has more than one size while the others stand still. */
export const growthOf = (runs: readonly SweepRun[]): readonly GrowthReport[] =>
  seriesOf(runs).map((series) => ({
    symbol: series.symbol,
    dims: series.dims,
    lengths: series.runs.map(({ length }) => length),
    variants: series.runs[0]!.report.variants.map(({ name }) => growthOfVariant(series, name)),
  }));

function seriesOf(runs: readonly SweepRun[]): readonly Series[] {
  const symbols = Object.keys(runs[0]?.report.dims ?? {});
  return symbols.flatMap((symbol) => {
    const groups = new Map<string, Map<number, SweepRun>>();
    for (const run of runs) {
      const { [symbol]: length, ...others } = run.report.dims;
      const key = JSON.stringify(Object.entries(others).sort());
      const group = groups.get(key) ?? new Map<number, SweepRun>();
      groups.set(key, group.set(length!, run));
    }
    return [...groups.values()]
      .filter(({ size }) => size > 1)
      .map((group) => {
        const sorted = Array.from(group, ([length, run]) => ({ length, ...run })).sort((a, b) => a.length - b.length);
        const { [symbol]: _length, ...dims } = sorted[0]!.report.dims;
        return { symbol, dims, runs: sorted };
      });
  });
}

interface Point {
  readonly length: number;
  readonly value: number;
}

function growthOfVariant(series: Series, name: string): VariantGrowth {
  const measured = (read: (variant: VariantReport) => number | null): readonly Point[] =>
    series.runs.flatMap(({ length, report }) => {
      const variant = report.variants.find((one) => one.name === name);
      const value = variant?.equal ? read(variant) : null;
      return value === null ? [] : [{ length, value }];
    });
  const byCost = (read: (cost: GraphCost) => Dim, value: (variant: VariantReport) => number | null): GrowthOrder =>
    degreeOver(series, name, read) ?? fitted(series, measured(value));
  return {
    name,
    flops: byCost(
      ({ flops }) => flops,
      ({ flops }) => flops,
    ),
    bytes: byCost(
      ({ bytes }) => bytes,
      ({ bytes }) => bytes,
    ),
    peakBytes: fitted(
      series,
      measured(({ peakBytes }) => peakBytes),
    ),
    latencyMs: fitted(
      series,
      measured(({ latencyMs }) => latencyMs.median),
    ),
  };
}

/**
 * The degree of the formula the longest lengths share. Undefined where each length has a formula of its own, as where
 * blocks are cut to measure: then only what the formulas give can be fitted.
 */
function degreeOver(
  { symbol, dims, runs }: Series,
  name: string,
  read: (cost: GraphCost) => Dim,
): GrowthOrder | undefined {
  const formulas = runs.map(({ costs }) => costs.get(name)).map((cost) => cost && read(cost));
  const last = formulas.at(-1);
  if (last === undefined) return undefined;
  const first = formulas.findLastIndex((formula) => formula !== last) + 1;
  const order = growthDegree(last, symbol, new Map(Object.entries(dims)));
  if (order === undefined || first === runs.length - 1) return undefined;
  const [from, to] = [runs[first]!.length, runs.at(-1)!.length];
  return { order, by: "formula", formula: show(last), from, to, points: runs.length - first, spread: null, note: null };
}

const leastPoints = 3;

/** The median of the slopes of all pairs (Theil–Sen) through the larger half of the lengths, on logarithms. */
function fitted({ runs }: Series, points: readonly Point[]): GrowthOrder {
  const positive = points.filter(({ value }) => value > 0);
  const used = positive.slice(-Math.max(leastPoints, Math.ceil(positive.length / 2)));
  const range = { from: (used[0] ?? runs[0]!).length, to: (used.at(-1) ?? runs.at(-1)!).length, points: used.length };
  if (used.length < leastPoints) {
    const note =
      points.length === 0
        ? "not known"
        : `${used.length} ${used.length === 1 ? "length" : "lengths"}; a fit takes ${leastPoints}`;
    return { order: null, by: null, formula: null, ...range, spread: null, note };
  }
  const slope = (a: Point, b: Point) => Math.log(b.value / a.value) / Math.log(b.length / a.length);
  const slopes = used.flatMap((b, i) => used.slice(0, i).map((a) => slope(a, b)));
  const near = used.slice(1).map((b, i) => slope(used[i]!, b));
  const spread = [rounded(Math.min(...near)), rounded(Math.max(...near))] as const;
  return { order: rounded(quantile(slopes, 0.5)), by: "fit", formula: null, ...range, spread, note: null };
}

const rounded = (x: number) => Number(x.toFixed(3));

/**
 * For each pair of variants, where one becomes faster than the other, and where it has fewer operations. Variants
 * without a rule are compared with `optimised` only.
 */
export const crossoversOf = (runs: readonly SweepRun[]): readonly CrossoverReport[] =>
  seriesOf(runs).flatMap((series) => {
    const names = series.runs[0]!.report.variants.map(({ name }) => name);
    return pairsOf(names).map(([first, second]) => ({
      symbol: series.symbol,
      dims: series.dims,
      variants: [first, second] as const,
      latency: latencyCrossings(series, first, second),
      flops: flopsCrossing(series, first, second),
    }));
  });

const isAblation = (name: string) => name.startsWith("without ");

const pairsOf = (names: readonly string[]): readonly (readonly [string, string])[] =>
  names.flatMap((second, i) =>
    names
      .slice(0, i)
      .filter((first) => !isAblation(second) || first === "optimised")
      .map((first) => [first, second] as const),
  );

/** Times that differ by less are the same: what two sessions of one graph differ by. */
const noise = 0.03;

interface Gain {
  readonly length: number;
  /** Logarithm of the first time over the second. */
  readonly gain: number;
  /** Whether the times differ by more than sessions of one graph do, and by more than these did within themselves. */
  readonly clear: boolean;
}

function gainOf(length: number, a: Latency, b: Latency): Gain {
  const gain = Math.log(a.median / b.median);
  const apart = gain > 0 ? b.median < a.p10 : a.median < b.p10;
  return { length, gain, clear: apart && Math.abs(gain) > noise };
}

function latencyCrossings({ runs }: Series, first: string, second: string): CrossoverReport["latency"] {
  const gains: Gain[] = [];
  for (const { length, report } of runs) {
    const [a, b] = [first, second].map((name) => report.variants.find((variant) => variant.name === name));
    if (a?.equal && b?.equal && a.latencyMs.median > 0 && b.latencyMs.median > 0)
      gains.push(gainOf(length, a.latencyMs, b.latencyMs));
  }
  const clear = gains.filter((one) => one.clear);
  const counts = { lengths: gains.length, apart: clear.length };
  if (gains.length < 2)
    return { crossings: [], throughout: null, ...counts, note: "equal outputs at fewer than two lengths" };
  const crossings = clear.slice(1).flatMap((after, i): readonly Crossing[] => {
    const before = clear[i]!;
    if (before.gain > 0 === after.gain > 0) return [];
    const inside = gains.filter(({ length }) => length >= before.length && length <= after.length);
    const faster = after.gain > 0 ? second : first;
    return [{ faster, between: [before.length, after.length], about: meeting(inside) }];
  });
  const winner = clear[0] && (clear[0].gain > 0 ? second : first);
  const throughout = crossings.length === 0 && winner !== undefined ? winner : null;
  return { crossings, throughout, ...counts, note: null };
}

/** Where the gain first changes its sign, on a logarithmic scale of lengths. */
function meeting(points: readonly Gain[]): number {
  const at = points.findIndex(({ gain }, i) => i > 0 && gain > 0 !== points[i - 1]!.gain > 0);
  const [before, after] = [points[at - 1]!, points[at]!];
  const share = before.gain / (before.gain - after.gain);
  const length = before.length * (after.length / before.length) ** share;
  return Math.min(after.length, Math.max(before.length, Number(length.toPrecision(2))));
}

function flopsCrossing({ symbol, dims, runs }: Series, first: string, second: string): CrossoverReport["flops"] {
  const { costs, length } = runs.at(-1)!;
  const [a, b] = [costs.get(first)?.flops, costs.get(second)?.flops];
  if (a === undefined || b === undefined) return null;
  const sizes = new Map(Object.entries(dims));
  const found = crossover(a, b, symbol, sizes);
  if (found) {
    const condition = found.at ?? found.condition;
    return { fewer: second, condition: found.more ? `${condition}, and again further on` : condition };
  }
  const known = new Map([...sizes, [symbol, length] as const]);
  const difference = evaluate(a, known) - evaluate(b, known);
  return { fewer: difference === 0 ? null : difference > 0 ? second : first, condition: null };
}
