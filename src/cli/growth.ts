import pc from "picocolors";
import type { CompareReport, CrossoverReport, GrowthOrder, GrowthReport } from "../compare-report.ts";
import { renderTable } from "./table.ts";

export const growthColumns = ["FLOPs", "bytes", "peak", "latency"] as const;

/** What the columns of `growthColumns` say of one variant. */
export const growthCells = (symbol: string, { flops, bytes, peakBytes, latencyMs }: GrowthReport["variants"][number]) =>
  [flops, bytes, peakBytes, latencyMs].map((growth) => showOrder(symbol, growth));

/** `seq^2` where a formula says so, `~ seq^1.03` where it is a fit, `-` where nothing can be said. */
function showOrder(symbol: string, { order, by }: GrowthOrder): string {
  if (order === null) return "-";
  if (by === "fit") return `~ ${symbol}^${order.toFixed(2)}`;
  if (order === 0) return "constant";
  return order === 1 ? symbol : `${symbol}^${order}`;
}

/** `seq, 128 to 4096, batch=1`. */
export function showSweep(
  { symbol, dims }: Pick<GrowthReport, "symbol" | "dims">,
  lengths?: readonly number[],
): string {
  const range = lengths ? [`${lengths[0]} to ${lengths.at(-1)}`] : [];
  return [symbol, ...range, showSizes(dims)].filter(Boolean).join(", ");
}

/** What keeps a reader from taking orders for more than they are: too few lengths, formulas that hold only from a length on. */
export function growthNotes({ symbol, lengths, variants }: GrowthReport): readonly string[] {
  const parts = { FLOPs: "flops", bytes: "bytes", peak: "peakBytes", latency: "latencyMs" } as const;
  const notes = new Map<string, string[]>();
  for (const variant of variants)
    for (const [part, key] of Object.entries(parts)) {
      const note = noteOf(symbol, lengths[0]!, variant[key]);
      if (note !== undefined) notes.set(note, [...(notes.get(note) ?? []), `${part} of ${variant.name}`]);
    }
  const fits = variants.flatMap(({ peakBytes, latencyMs }) => [latencyMs, peakBytes]).find(({ by }) => by === "fit");
  const legend = fits ? [`~: fitted through ${symbol} ${fits.from} to ${fits.to}`] : [];
  const told = Array.from(
    notes,
    ([note, of]) =>
      `${of.length > 3 ? `${of.slice(0, 2).join(", ")} and ${of.length - 2} more` : of.join(", ")}: ${note}`,
  );
  return [...legend, ...told];
}

function noteOf(
  symbol: string,
  shortest: number,
  { by, note, from, to, points, spread }: GrowthOrder,
): string | undefined {
  if (by === "formula") return from > shortest ? `the formula holds from ${symbol}=${from} on` : undefined;
  if (by === null) return note === "not known" ? undefined : (note ?? undefined);
  const [least, greatest] = spread!;
  if (greatest - least < 1) return undefined;
  return `powers of ${least.toFixed(2)} to ${greatest.toFixed(2)} between the ${points} lengths ${from} to ${to}`;
}

/** One crossover in words: by measured time, then by formula. */
export function describeCrossover({ symbol, variants, latency, flops }: CrossoverReport): string {
  const [first, second] = variants;
  const other = (name: string) => (name === first ? second : first);
  const crossings = latency.crossings.map(
    ({ faster, between: [before, after], about }) =>
      `${faster} overtakes ${other(faster)} between ${symbol} ${before} and ${after}, at about ${about}`,
  );
  const measured = crossings.length > 0 ? crossings.join("; ") : withoutCrossing(variants, latency);
  return flops ? `${measured}. ${flopsInWords(flops, first, second)}` : measured;
}

function withoutCrossing(
  [first, second]: CrossoverReport["variants"],
  { throughout, lengths, apart, note }: CrossoverReport["latency"],
): string {
  if (note !== null) return `${first} and ${second}: times not compared, ${note}`;
  if (throughout === null) return `${first} and ${second} are as fast as each other at each of the ${lengths} lengths`;
  const other = throughout === first ? second : first;
  if (apart === lengths)
    return `${throughout} is ahead at each of the ${lengths} lengths, ${other} never overtakes it within the sweep`;
  return `${throughout} is ahead of ${other} at ${apart} of ${lengths} lengths and as fast at the others`;
}

function flopsInWords(
  { fewer, condition }: NonNullable<CrossoverReport["flops"]>,
  first: string,
  second: string,
): string {
  if (fewer === null) return "FLOPs: the same";
  const fewerThan = `FLOPs: ${fewer} has fewer than ${fewer === first ? second : first}`;
  return condition === null ? `${fewerThan} at every length` : `${fewerThan} where ${condition}`;
}

/** Growth and crossovers of a swept comparison, as blocks of text: one of each per dimension that was swept. */
export function renderGrowth({ growth, crossovers }: CompareReport): readonly string[] {
  const symbols = [...new Set(growth.map(({ symbol }) => symbol))];
  return symbols.flatMap((symbol) => {
    const sweeps = growth.filter((sweep) => sweep.symbol === symbol);
    const [first] = sweeps as [GrowthReport];
    const where = (dims: GrowthReport["dims"]) => (sweeps.length === 1 ? "" : showSizes(varyingIn(sweeps, dims)));
    const rows = sweeps.flatMap(({ dims, variants }) =>
      variants.map((variant) => [`${variant.name}  ${where(dims)}`.trimEnd(), ...growthCells(symbol, variant)]),
    );
    const notes = merged(
      sweeps.length,
      sweeps.flatMap((sweep) => growthNotes(sweep).map((text) => ({ text, where: where(sweep.dims) }))),
    );
    const crossed = merged(
      sweeps.length,
      crossovers
        .filter((one) => one.symbol === symbol)
        .map((one) => ({ text: describeCrossover(one), where: where(one.dims) })),
    );
    const over = sweeps.length === 1 ? showSweep(first, first.lengths) : showSweep({ symbol, dims: {} }, first.lengths);
    return [
      [`${pc.bold("growth")} over ${over}`, renderTable(["", ...growthColumns], rows).trimEnd(), ...notes].join("\n"),
      [`${pc.bold("crossovers")} over ${over}`, ...crossed].join("\n"),
    ];
  });
}

const showSizes = (dims: GrowthReport["dims"]) =>
  Object.entries(dims)
    .map(([name, size]) => `${name}=${size}`)
    .join(", ");

/** Sizes in which sweeps over one dimension differ. */
const varyingIn = (sweeps: readonly GrowthReport[], dims: GrowthReport["dims"]): GrowthReport["dims"] =>
  Object.fromEntries(
    Object.entries(dims).filter(([name]) => new Set(sweeps.map((sweep) => sweep.dims[name])).size > 1),
  );

/** Each text once, with where it holds unless that is everywhere. */
function merged(sweeps: number, told: readonly { readonly text: string; readonly where: string }[]): readonly string[] {
  const places = new Map<string, string[]>();
  for (const { text, where } of told) places.set(text, [...(places.get(text) ?? []), where].filter(Boolean));
  return Array.from(
    places,
    ([text, where]) => `  ${text}${where.length > 0 && where.length < sweeps ? ` (${where.join("; ")})` : ""}`,
  );
}
