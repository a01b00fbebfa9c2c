import type { BlockClass } from "./classify.ts";

/** A maximal run of blocks of one class in a block row: columns `start … end - 1`. Empty blocks are in no run. */
export interface BlockRun {
  readonly start: number;
  readonly end: number;
  readonly class: "full" | "partial";
}

/**
 * Which blocks of a mask are full, partial and empty: run-length encoded, row by row. Block (i, j) holds queries
 * `i · blockSize …` and keys `j · blockSize …`; the last of each may be cut short by the length.
 */
export interface BlockStructure {
  readonly queries: number;
  readonly keys: number;
  readonly blockSize: number;
  readonly rows: number;
  readonly columns: number;
  /** Runs of row i are numbers `rowStart[i] … rowStart[i + 1] - 1`. */
  readonly rowStart: Int32Array;
  readonly runStart: Int32Array;
  readonly runEnd: Int32Array;
  /** 1 partial, 2 full. */
  readonly runClass: Uint8Array;
  readonly full: number;
  readonly partial: number;
  readonly empty: number;
  /** Blocks called partial for want of knowledge: a tensor decides, or looking closer was given up. */
  readonly unproven: number;
}

/** Runs of one row as triples start, end, class code. */
export type RowRuns = number[];
export const partialCode = 1;
export const fullCode = 2;
/** Partial, but not proven to be: told apart until the structure is made. */
export const unprovenCode = 3;

/** Appends a run at the right end of a row, joined to the last where they touch. */
export function appendRun(row: RowRuns, start: number, end: number, code: number): void {
  if (start >= end || code === 0) return;
  const last = row.length - 1;
  if (last > 0 && row[last] === code && row[last - 1] === start) row[last - 1] = end;
  else row.push(start, end, code);
}

/** Appends what `from` has in columns [first, last), moved by `shift` columns. */
export function appendShifted(row: RowRuns, from: RowRuns, first: number, last: number, shift: number): void {
  for (let t = 0; t < from.length; t += 3) {
    const start = Math.max(from[t]!, first);
    const end = Math.min(from[t + 1]!, last);
    if (start < end) appendRun(row, start + shift, end + shift, from[t + 2]!);
  }
}

/** The structure of finished rows, each in order of columns. */
export function structureOf(
  rows: readonly RowRuns[],
  size: { readonly queries: number; readonly keys: number; readonly blockSize: number },
): BlockStructure {
  const columns = Math.ceil(size.keys / size.blockSize);
  const total = rows.reduce((sum, row) => sum + row.length / 3, 0);
  const rowStart = new Int32Array(rows.length + 1);
  const runStart = new Int32Array(total);
  const runEnd = new Int32Array(total);
  const runClass = new Uint8Array(total);
  let [count, full, partial, unproven] = [0, 0, 0, 0];
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    rowStart[i] = count;
    for (let t = 0; t < row.length; t += 3) {
      const [start, end, code] = [row[t]!, row[t + 1]!, row[t + 2]!];
      const kind = code === fullCode ? fullCode : partialCode;
      if (code === fullCode) full += end - start;
      else partial += end - start;
      if (code === unprovenCode) unproven += end - start;
      if (count > rowStart[i]! && runClass[count - 1] === kind && runEnd[count - 1] === start) runEnd[count - 1] = end;
      else {
        runStart[count] = start;
        runEnd[count] = end;
        runClass[count++] = kind;
      }
    }
  }
  rowStart[rows.length] = count;
  return {
    ...size,
    rows: rows.length,
    columns,
    rowStart,
    runStart: runStart.subarray(0, count),
    runEnd: runEnd.subarray(0, count),
    runClass: runClass.subarray(0, count),
    full,
    partial,
    empty: rows.length * columns - full - partial,
    unproven,
  };
}

/** The runs of block row `i`, in order. */
export function runsOf(structure: BlockStructure, i: number): readonly BlockRun[] {
  const runs: BlockRun[] = [];
  for (let t = structure.rowStart[i]!; t < structure.rowStart[i + 1]!; t++)
    runs.push({
      start: structure.runStart[t]!,
      end: structure.runEnd[t]!,
      class: structure.runClass[t] === fullCode ? "full" : "partial",
    });
  return runs;
}

/** Class of block (i, j); by bisection of the row's runs. */
export function classAt(structure: BlockStructure, i: number, j: number): BlockClass {
  let low = structure.rowStart[i]!;
  let high = structure.rowStart[i + 1]!;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (structure.runEnd[middle]! <= j) low = middle + 1;
    else high = middle;
  }
  if (low === structure.rowStart[i + 1]! || structure.runStart[low]! > j) return "empty";
  return structure.runClass[low] === fullCode ? "full" : "partial";
}

/** Share of all pairs of query and key in full blocks, and in full or partial ones: bounds of the mask's density. */
export function densityBounds(structure: BlockStructure): { readonly least: number; readonly most: number } {
  const { blockSize, queries, keys, rows, columns } = structure;
  let [least, most] = [0, 0];
  for (let i = 0; i < rows; i++) {
    const height = Math.min(blockSize, queries - i * blockSize);
    for (let t = structure.rowStart[i]!; t < structure.rowStart[i + 1]!; t++) {
      const end = structure.runEnd[t]! === columns ? keys : structure.runEnd[t]! * blockSize;
      const area = height * (end - structure.runStart[t]! * blockSize);
      most += area;
      if (structure.runClass[t] === fullCode) least += area;
    }
  }
  return { least: least / (queries * keys), most: most / (queries * keys) };
}
