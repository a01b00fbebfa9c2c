import { fail } from "../diagnostics.ts";
import type { IndexFormula } from "../index-expr/types.ts";
import { type Band, type BandRun, type BlockStructure, structureOf } from "./block-structure.ts";
import type { Range } from "./classify.ts";
import type { KeySet } from "./key-set.ts";
import { type Counts, Course } from "./moving.ts";
import { boxProgram, type MaskLengths } from "./program.ts";
import { RowClasses } from "./row-classes.ts";
import { canBeSolved, searchedRows } from "./search-structure.ts";
import { gcd } from "./slots.ts";

export interface StructureOptions {
  /** Batches and query heads the structure holds for; all where not said: full is full in all of them. */
  readonly b?: Range;
  readonly h?: Range;
}

/**
 * The block structure of a mask at given lengths, without visiting every block, or every row: a row is solved for its
 * keys, with numbers that know how they move from row to row, and so stands for all rows in which what was decided about
 * them stays true. Sound as `classifyBlock` is. Throws QKV248 for lengths or a block size that are no counts.
 */
export function blockStructure(
  formula: IndexFormula,
  lengths: MaskLengths,
  blockSize = 128,
  options: StructureOptions = {},
): BlockStructure {
  if (!Number.isInteger(blockSize) || blockSize < 1)
    fail("QKV248", `the block size of a mask is ${blockSize}; it is a positive integer`);
  const program = boxProgram(formula, lengths);
  const { B, H, Q, K } = program.lengths;
  const size = { queries: Q, keys: K, blockSize };
  const [h, b] = [options.h ?? ([0, H - 1] as const), options.b ?? ([0, B - 1] as const)];
  if (!canBeSolved(program)) {
    const { bands, counts } = searchedRows(program, blockSize, h, b);
    return structureOf(bands, Int32Array.from(bands.keys()), size, counts);
  }
  const course = new Course();
  const classes = new RowClasses(program, course, blockSize, h, b);
  const rows = Math.ceil(Q / blockSize);
  const whole = Math.floor(Q / blockSize);
  const bands: Band[] = [];
  const bandOf = new Int32Array(rows).fill(-1);
  let steps: Counts = [1, 0, 0];
  for (let i = 0; i < rows; i++) {
    if (bandOf[i] !== -1) continue;
    let runs = runsOfRow(classes, i, steps);
    const longer = i < whole ? stepsFor(course.wanted, whole) : steps;
    if (longer[1] !== steps[1] || longer[2] !== steps[2]) {
      steps = longer;
      runs = runsOfRow(classes, i, steps);
    }
    const most = i < whole ? course.rowsOf(steps, whole - 1 - i) : ([1, 1, 1] as const);
    const counts = freeRows(bandOf, i, steps, most);
    mark(bandOf, i, steps, counts, bands.length);
    bands.push({ first: i, steps, counts, runs });
  }
  return structureOf(bands, bandOf, size);
}

/** Steps of a band's levels: a row, and periods after which divisions move by whole numbers. */
function stepsFor(wanted: ReadonlySet<number>, rows: number): Counts {
  const periods: number[] = [];
  for (const period of [...wanted].sort((x, y) => x - y)) {
    const last = periods.at(-1) ?? 1;
    const common = (last / gcd(last, period)) * period;
    if (common > last && common <= rows / 2) periods.push(common);
  }
  return periods.length < 2 ? [1, periods[0] ?? 0, 0] : [1, periods[0]!, periods.at(-1)!];
}

function mark(bandOf: Int32Array, first: number, steps: Counts, [n, m, l]: Counts, band: number): void {
  for (let w = 0; w < l; w++)
    for (let u = 0; u < m; u++) {
      const start = first + u * steps[1] + w * steps[2];
      bandOf.fill(band, start, start + n);
    }
}

/** As many rows as belong to no band yet. */
function freeRows(bandOf: Int32Array, first: number, steps: Counts, counts: Counts): Counts {
  let free = counts;
  for (let level = 2; level >= 0; level--) {
    // Rows of the levels below, all of the first step of this one.
    const inner = free.map((count, at) => (at < level ? count : 1)) as unknown as Counts;
    let count = 0;
    while (count < free[level]! && allFree(bandOf, first + count * steps[level]!, steps, inner)) count++;
    if (count === 0) count = 1;
    free = free.map((known, at) => (at === level ? count : known)) as unknown as Counts;
  }
  return free;
}

function allFree(bandOf: Int32Array, first: number, steps: Counts, counts: Counts): boolean {
  const [n, m, l] = counts;
  for (let w = 0; w < l; w++)
    for (let u = 0; u < m; u++) {
      const start = first + u * steps[1] + w * steps[2];
      for (let t = 0; t < n; t++) if (bandOf[start + t] !== -1) return false;
    }
  return true;
}

function runsOfRow(classes: RowClasses, i: number, steps: Counts): readonly BandRun[] {
  const { full, partial, unproven } = classes.of(i, steps);
  const runs = (set: KeySet, kind: "full" | "partial", known: boolean) =>
    set.map(({ start, end, pattern }): BandRun => ({ start, end, pattern, class: kind, unproven: !known }));
  const all = [...runs(full, "full", true), ...runs(partial, "partial", true), ...runs(unproven, "partial", false)];
  return all.sort((x, y) => x.start.at - y.start.at);
}
