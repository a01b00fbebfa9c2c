import type { BlockClass } from "./classify.ts";
import type { Pattern, Stretch } from "./key-set.ts";
import type { Counts, Moving } from "./moving.ts";

/** A maximal run of blocks of one class in a block row: columns `start … end - 1`. Empty blocks are in no run. */
export interface BlockRun {
  readonly start: number;
  readonly end: number;
  readonly class: "full" | "partial";
}

/** Blocks of one class of a row; where they are moves by constant steps from row to row of a band. */
export interface BandRun extends Stretch {
  readonly class: "full" | "partial";
  /** Partial, but not proven to be. */
  readonly unproven: boolean;
}

/** Block rows `first + t · steps[0] + u · steps[1] + w · steps[2]`, t < counts[0] and so on, that differ by shifts. */
export interface Band {
  readonly first: number;
  readonly steps: Counts;
  readonly counts: Counts;
  readonly runs: readonly BandRun[];
}

export interface BlockCounts {
  readonly full: number;
  readonly partial: number;
  /** Blocks called partial for want of knowledge: a tensor decides, or looking closer was given up. */
  readonly unproven: number;
}

/**
 * Which blocks of a mask are full, partial and empty. Block (i, j) holds queries `i · blockSize …` and keys
 * `j · blockSize …`; the last of each may be cut short by the length. Rows are not written out: those that are shifted
 * copies of one another are a band. `runsOf` answers a row.
 */
export interface BlockStructure extends BlockCounts {
  readonly queries: number;
  readonly keys: number;
  readonly blockSize: number;
  readonly rows: number;
  readonly columns: number;
  readonly bands: readonly Band[];
  /** The band of every row. */
  readonly bandOf: Int32Array;
  readonly empty: number;
}

/** The structure of bands that hold every row once. */
export function structureOf(
  bands: readonly Band[],
  bandOf: Int32Array,
  size: { readonly queries: number; readonly keys: number; readonly blockSize: number },
  counts: BlockCounts = blocksOfBands(bands),
): BlockStructure {
  const columns = Math.ceil(size.keys / size.blockSize);
  const rows = bandOf.length;
  return { ...size, rows, columns, bands, bandOf, ...counts, empty: rows * columns - counts.full - counts.partial };
}

function blocksOfBands(bands: readonly Band[]): BlockCounts {
  let [full, partial, unproven] = [0, 0, 0];
  for (const band of bands)
    for (const run of band.runs) {
      const count = blocksIn(run, band.counts);
      if (run.class === "full") full += count;
      else partial += count;
      if (run.unproven) unproven += count;
    }
  return { full, partial, unproven };
}

/** Blocks of a run in all rows of its band. */
function blocksIn(run: Stretch, counts: Counts): number {
  const { start, end, pattern } = run;
  if (!pattern) {
    const of = (part: "a" | "b" | "c", n: number) => ((end[part] - start[part]) * (n - 1)) / 2;
    const [n, m, l] = counts;
    return n * m * l * (end.at - start.at + of("a", n) + of("b", m) + of("c", l));
  }
  let total = 0;
  for (const at of places(counts)) {
    const anchor = valueAt(pattern.at, at);
    total += cutsBefore(pattern, valueAt(end, at) - anchor) - cutsBefore(pattern, valueAt(start, at) - anchor);
  }
  return total;
}

type Place = readonly [t: number, u: number, w: number];

function* places([n, m, l]: Counts): Generator<Place> {
  for (let w = 0; w < l; w++) for (let u = 0; u < m; u++) for (let t = 0; t < n; t++) yield [t, u, w];
}

const valueAt = ({ at, a, b, c }: Moving, [t, u, w]: Place) => at + a * t + b * u + c * w;

/** Numbers of the pattern in [0, x), counted from where it is anchored; fewer than none below. */
function cutsBefore({ period, cuts }: Pattern, x: number): number {
  let [whole, rest] = [0, 0];
  const inside = x - Math.floor(x / period) * period;
  for (let t = 0; t < cuts.length; t += 2) {
    whole += cuts[t + 1]! - cuts[t]!;
    rest += Math.max(0, Math.min(inside, cuts[t + 1]!) - cuts[t]!);
  }
  return Math.floor(x / period) * whole + rest;
}

/** The band of a row, and where in it the row is. */
function placeOf({ bands, bandOf }: BlockStructure, i: number): readonly [Band, Place] {
  const band = bands[bandOf[i]!]!;
  const place: [number, number, number] = [0, 0, 0];
  let left = i - band.first;
  for (let level = 2; level >= 0; level--) {
    const step = band.steps[level]!;
    if (step === 0 || band.counts[level] === 1) continue;
    place[level] = Math.floor(left / step);
    left -= place[level]! * step;
  }
  return [band, place];
}

/** The runs of block row `i`, in order. */
export function runsOf(structure: BlockStructure, i: number): readonly BlockRun[] {
  const [band, place] = placeOf(structure, i);
  const found: BlockRun[] = [];
  let patterns = false;
  for (const run of band.runs) {
    const [start, end] = [valueAt(run.start, place), valueAt(run.end, place)];
    if (!run.pattern) {
      if (start < end) found.push({ start, end, class: run.class });
      continue;
    }
    patterns = true;
    const { period, cuts } = run.pattern;
    const anchor = valueAt(run.pattern.at, place);
    for (let base = anchor + Math.floor((start - anchor) / period) * period; base < end; base += period)
      for (let t = 0; t < cuts.length; t += 2) {
        const [from, to] = [Math.max(start, base + cuts[t]!), Math.min(end, base + cuts[t + 1]!)];
        if (from < to) found.push({ start: from, end: to, class: run.class });
      }
  }
  if (patterns) found.sort((x, y) => x.start - y.start);
  const out: BlockRun[] = [];
  for (const run of found) {
    const last = out.at(-1);
    if (last && last.class === run.class && last.end === run.start) out[out.length - 1] = { ...last, end: run.end };
    else out.push(run);
  }
  return out;
}

/** Class of block (i, j). */
export function classAt(structure: BlockStructure, i: number, j: number): BlockClass {
  const [band, place] = placeOf(structure, i);
  return band.runs.find((run) => isIn(run, j, place))?.class ?? "empty";
}

function isIn({ start, end, pattern }: Stretch, j: number, place: Place): boolean {
  if (j < valueAt(start, place) || j >= valueAt(end, place)) return false;
  if (!pattern) return true;
  const phase = j - valueAt(pattern.at, place);
  return cutsBefore(pattern, phase + 1) > cutsBefore(pattern, phase);
}

/** Share of all pairs of query and key in full blocks, and in full or partial ones: bounds of the mask's density. */
export function densityBounds(structure: BlockStructure): { readonly least: number; readonly most: number } {
  const { blockSize, queries, keys, columns, bands } = structure;
  const missing = columns * blockSize - keys;
  let [least, most] = [0, 0];
  for (const band of bands) {
    // A row cut short is a band of its own.
    const height = Math.min(blockSize, queries - band.first * blockSize);
    for (const run of band.runs) {
      let pairs = blocksIn(run, band.counts) * blockSize;
      if (missing > 0) for (const place of places(band.counts)) if (isIn(run, columns - 1, place)) pairs -= missing;
      most += pairs * height;
      if (run.class === "full") least += pairs * height;
    }
  }
  return { least: least / (queries * keys), most: most / (queries * keys) };
}
