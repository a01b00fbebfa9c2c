import { fail } from "../diagnostics.ts";
import type { IndexExpr, IndexFormula } from "../index-expr/types.ts";
import {
  appendRun,
  appendShifted,
  type BlockStructure,
  fullCode,
  partialCode,
  type RowRuns,
  structureOf,
  unprovenCode,
} from "./block-structure.ts";
import { bisect, type Range } from "./classify.ts";
import { type BoxProgram, boxProgram, type MaskLengths } from "./program.ts";
import { shiftAnalysis } from "./shift.ts";
import { gcd } from "./slots.ts";
import { comparisons } from "./transfer.ts";

export interface StructureOptions {
  /** Batches and query heads the structure holds for; all where not said: full is full in all of them. */
  readonly b?: Range;
  readonly h?: Range;
}

/** Blocks [i0, i1) × [j0, j1). */
interface Region {
  readonly i0: number;
  readonly i1: number;
  readonly j0: number;
  readonly j1: number;
}

interface Search {
  readonly program: BoxProgram;
  readonly size: number;
  readonly rows: readonly RowRuns[];
  readonly slices: readonly [number, number, number, number];
  /** Classes of single undecided blocks still worth proving; beyond, undecided is partial. */
  proofs: number;
}

/** Undecided blocks looked into, over all. */
const proofBudget = 100_000;

/**
 * The block structure of a mask at given lengths, without visiting every block: regions where the formula is decided
 * are filled at once; where it repeats along the diagonal, downwards or to the right, one period is looked at and the
 * rest moved; else a region is cut where a part that depends on q or on k alone changes. Sound as `classifyBlock` is.
 * Throws QKV248 for lengths or a block size that are no counts.
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
  const b = options.b ?? [0, B - 1];
  const h = options.h ?? [0, H - 1];
  program.over(b, h);
  const [rows, columns] = [Math.ceil(Q / blockSize), Math.ceil(K / blockSize)];
  const runs = Array.from({ length: rows }, (): RowRuns => []);
  const search: Search = {
    program,
    size: blockSize,
    rows: runs,
    slices: [h[0], h[1], b[0], b[1]],
    proofs: proofBudget,
  };
  // Blocks cut short are no shifted copies of whole ones: they are regions of their own.
  const [wholeRows, wholeColumns] = [Math.floor(Q / blockSize), Math.floor(K / blockSize)];
  fill(search, { i0: 0, i1: wholeRows, j0: 0, j1: wholeColumns });
  fill(search, { i0: 0, i1: wholeRows, j0: wholeColumns, j1: columns });
  fill(search, { i0: wholeRows, i1: rows, j0: 0, j1: wholeColumns });
  fill(search, { i0: wholeRows, i1: rows, j0: wholeColumns, j1: columns });
  return structureOf(runs, { queries: Q, keys: K, blockSize });
}

function verdictOf({ program, size }: Search, { i0, i1, j0, j1 }: Region) {
  const { Q, K } = program.lengths;
  return program.verdict(i0 * size, Math.min(i1 * size, Q) - 1, j0 * size, Math.min(j1 * size, K) - 1);
}

/** Fills rows of a region from the left, so that every row stays in order of columns. */
function fill(search: Search, whole: Region): void {
  const stack = [whole];
  while (stack.length > 0) {
    const region = stack.pop()!;
    const { i0, i1, j0, j1 } = region;
    if (i0 >= i1 || j0 >= j1) continue;
    const verdict = verdictOf(search, region);
    if (verdict !== "unknown") {
      if (verdict === "full") for (let i = i0; i < i1; i++) appendRun(search.rows[i]!, j0, j1, fullCode);
    } else if (i1 - i0 === 1) rowRuns(search, i0, j0, j1, search.rows[i0]!);
    else {
      const column = j1 - j0 === 1 ? sliced(search, region, "columns") : undefined;
      if (column !== undefined) {
        for (let i = i0; i < i1; i++) appendRun(search.rows[i]!, j0, j1, column);
        continue;
      }
      if (j1 - j0 === 1) verdictOf(search, region);
      const next = repeated(search, region) ?? pieces(search, region);
      // The first piece is filled first.
      for (let t = next.length - 1; t >= 0; t--) stack.push(next[t]!);
    }
  }
}

/** A step in whole blocks after which the class is the same; 0 where there is none up to `longest`. */
function blockPeriod(search: Search, direction: "diagonal" | "right" | "down", longest: number): number {
  if (longest < 1) return 0;
  const { period } = shiftAnalysis(search.program, direction, longest * search.size);
  if (period === 0) return 0;
  const blocks = period / gcd(period, search.size);
  return blocks <= longest ? blocks : 0;
}

/** Fills a region that repeats downwards or along the diagonal; undefined where it does not. */
function repeated(search: Search, region: Region): readonly Region[] | undefined {
  const { i0, i1, j0, j1 } = region;
  const height = i1 - i0;
  const down = blockPeriod(search, "down", Math.floor(height / 2));
  if (down > 0) {
    const first = Array.from({ length: down }, (_, r) => rowOf(search, i0 + r, j0, j1));
    for (let i = i0; i < i1; i++) appendShifted(search.rows[i]!, first[(i - i0) % down]!, j0, j1, 0);
    return [];
  }
  const diagonal = blockPeriod(search, "diagonal", Math.floor(height / 2));
  if (diagonal === 0) return undefined;
  const width = j1 - j0;
  if (height <= width) {
    fillDiagonally(search, region, diagonal);
    return [];
  }
  // Higher than wide: by parts, each of which its first and last rows tell all of.
  if (width < 2 * diagonal) return undefined;
  const parts: Region[] = [];
  for (let i = i0; i < i1; i += width) parts.push({ i0: i, i1: Math.min(i + width, i1), j0, j1 });
  return parts;
}

/**
 * Class (i, j) is that of (i - t·p, j - t·p). The first rows know all diagonals that begin at the top of the region, the
 * last ones all that begin at its left; the region is no higher than wide, so there are no others.
 */
function fillDiagonally(search: Search, { i0, i1, j0, j1 }: Region, period: number): void {
  for (let r = 0; r < period; r++) {
    const top = i0 + r;
    const bottom = top + Math.floor((i1 - 1 - top) / period) * period;
    const first = rowOf(search, top, j0, j1);
    const last = rowOf(search, bottom, j0, j1);
    for (let i = top; i <= bottom; i += period) {
      const row = search.rows[i]!;
      appendShifted(row, last, j0 + bottom - i, j0 + bottom - top, i - bottom);
      appendShifted(row, first, j0, j1 - (i - top), i - top);
    }
  }
}

function rowOf(search: Search, i: number, j0: number, j1: number): RowRuns {
  const row: RowRuns = [];
  rowRuns(search, i, j0, j1, row);
  return row;
}

/** Appends the runs of blocks [j0, j1) of row `i`. */
function rowRuns(search: Search, i: number, j0: number, j1: number, row: RowRuns): void {
  const stack: [number, number][] = [[j0, j1]];
  while (stack.length > 0) {
    const [first, end] = stack.pop()!;
    const verdict = verdictOf(search, { i0: i, i1: i + 1, j0: first, j1: end });
    if (verdict === "full") appendRun(row, first, end, fullCode);
    if (verdict !== "unknown") continue;
    const width = end - first;
    if (width === 1) {
      appendRun(row, first, end, codeOf(search, i, first));
      continue;
    }
    const period = width >= 4 ? blockPeriod(search, "right", Math.floor(width / 2)) : 0;
    if (period > 0) {
      const once = rowOf(search, i, first, first + period);
      const whole = once.length === 3 && once[0] === first && once[1] === first + period;
      if (whole) appendRun(row, first, end, once[2]!);
      else for (let j = first; j < end; j += period) appendShifted(row, once, first, first + end - j, j - first);
      continue;
    }
    const slices = sliced(search, { i0: i, i1: i + 1, j0: first, j1: end }, "rows");
    if (slices !== undefined) {
      appendRun(row, first, end, slices);
      continue;
    }
    const middle = middleOf(search, first, end);
    stack.push([middle, end], [first, middle]);
  }
}

/** It changes at few places: a table, or a comparison. */
const isStep = (part: IndexExpr) => part.kind === "lookup" || (part.kind === "apply" && part.fn in comparisons);

const isBitAnd = (part: IndexExpr) => part.kind === "apply" && part.fn === "bitAnd";

/** A number in (first, end) to cut at: the roundest where bits matter, for they are known best over aligned boxes. */
function middleOf({ program }: Search, first: number, end: number): number {
  if (!program.parts.some(isBitAnd)) return (first + end) >> 1;
  const last = end - 1;
  return last & ~(2 ** (31 - Math.clz32(first ^ last)) - 1);
}

/** Slices of a row (or column) of blocks looked at before it is cut across. */
const sliceBudget = 40;

/**
 * The code of all blocks of an undecided row (or column) at once, where a part of q (or k) alone changes inside of its
 * blocks: cut along, its slices are all empty, all full, or some the one and some the other, which makes every block
 * partial. Undefined where that is not so.
 */
function sliced(search: Search, region: Region, along: "rows" | "columns"): number | undefined {
  const { program, size } = search;
  const own = along === "rows" ? 1 : 2;
  const { blockers } = shiftAnalysis(program, along === "rows" ? "down" : "right", size - 1);
  const changes = (part: number) => (program.reads[part]! & 3) === own && isStep(program.parts[part]!);
  if (!blockers.some(changes)) return undefined;
  const { Q, K } = program.lengths;
  const [q0, q1] = [region.i0 * size, Math.min(region.i1 * size, Q) - 1];
  const [k0, k1] = [region.j0 * size, Math.min(region.j1 * size, K) - 1];
  const stack: [number, number][] = [along === "rows" ? [q0, q1] : [k0, k1]];
  let [empty, full, left] = [false, false, sliceBudget];
  while (stack.length > 0) {
    const [first, last] = stack.pop()!;
    if (left-- === 0) return undefined;
    const verdict = along === "rows" ? program.verdict(first, last, k0, k1) : program.verdict(q0, q1, first, last);
    if (verdict === "empty") empty = true;
    else if (verdict === "full") full = true;
    else if (first === last) return undefined;
    else {
      const middle = middleOf(search, first, last + 1);
      stack.push([middle, last], [first, middle - 1]);
    }
    if (empty && full) return partialCode;
  }
  return full ? fullCode : 0;
}

/** Code of one undecided block. */
function codeOf(search: Search, i: number, j: number): number {
  if (search.proofs-- <= 0) return unprovenCode;
  const { program, size, slices } = search;
  const { Q, K } = program.lengths;
  const box = [i * size, Math.min((i + 1) * size, Q) - 1, j * size, Math.min((j + 1) * size, K) - 1];
  const found = bisect(program, [...box, ...slices]);
  program.over([slices[2], slices[3]], [slices[0], slices[1]]);
  if (found.class === "full") return fullCode;
  if (found.class === "empty") return 0;
  return found.because === "proven" ? partialCode : unprovenCode;
}

/** Cuts an undecided region: rows where a part of q alone changes, columns where one of k alone does, else in the middle. */
function pieces(search: Search, region: Region): readonly Region[] {
  const { i0, i1, j0, j1 } = region;
  const { reads } = search.program;
  const longest = Math.floor((i1 - i0) / 2) * search.size;
  const { blockers } = shiftAnalysis(search.program, "diagonal", longest);
  const ofRows = blockers.find((part) => (reads[part]! & 3) === 1);
  const rowCut =
    ofRows === undefined
      ? undefined
      : firstChange(search, ofRows, i0, i1, (from, i) => ({ ...region, i0: from, i1: i }));
  if (rowCut !== undefined) {
    const cut = rowCut;
    return [
      { ...region, i1: cut },
      { ...region, i0: cut },
    ];
  }
  const ofColumns = blockers.find((part) => (reads[part]! & 3) === 2);
  const columnCut =
    ofColumns !== undefined && j1 - j0 > 1
      ? firstChange(search, ofColumns, j0, j1, (from, j) => ({ ...region, j0: from, j1: j }))
      : undefined;
  if (columnCut !== undefined) {
    const cut = columnCut;
    return [
      { ...region, j1: cut },
      { ...region, j0: cut },
    ];
  }
  const [i, j] = [middleOf(search, i0, i1), j1 - j0 > 1 ? middleOf(search, j0, j1) : j0];
  if (j1 - j0 < 2 || i1 - i0 > 2 * (j1 - j0))
    return [
      { ...region, i1: i },
      { ...region, i0: i },
    ];
  if (j1 - j0 > 2 * (i1 - i0))
    return [
      { ...region, j1: j },
      { ...region, j0: j },
    ];
  return [
    { i0, i1: i, j0, j1: j },
    { i0, i1: i, j0: j, j1 },
    { i0: i, i1, j0, j1: j },
    { i0: i, i1, j0: j, j1 },
  ];
}

/**
 * End of the longest first piece over which a part has one value, or of the single block that has several. Undefined
 * where a part made of bits changes in every block: those are known best over aligned boxes, not row by row.
 */
function firstChange(
  search: Search,
  part: number,
  first: number,
  end: number,
  piece: (from: number, cut: number) => Region,
): number | undefined {
  const decided = (from: number, cut: number) => {
    verdictOf(search, piece(from, cut));
    if (search.program.slots.mod[part] === 0) return true;
    // A clamp of which one side is taken throughout moves with it.
    const fn = (search.program.parts[part] as { readonly fn?: string }).fn;
    if (fn !== "min" && fn !== "max") return false;
    return !shiftAnalysis(search.program, "diagonal", Number.MAX_SAFE_INTEGER).blockers.includes(part);
  };
  // A part is a blocker because it is undecided over all of it.
  let [good, bad] = [first, end];
  for (let step = 1; good + step < bad; step *= 2) {
    if (!decided(first, good + step)) {
      bad = good + step;
      break;
    }
    good += step;
  }
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decided(first, middle)) good = middle;
    else bad = middle;
  }
  if (good > first) return good;
  return !search.program.parts.some(isBitAnd) || end - first <= 3 || decided(first + 1, first + 3)
    ? first + 1
    : undefined;
}
