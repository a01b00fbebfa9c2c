import type { IndexTable } from "../index-expr/types.ts";

/**
 * A list of integers as pieces, on each of which it moves by a constant step: element i of piece p, from `starts[p]` to
 * `starts[p + 1]`, is `values[p] + steps[p] · (i - starts[p])`.
 */
export interface TablePieces {
  readonly length: number;
  /** One more than there are pieces: the last is the length. */
  readonly starts: Int32Array;
  readonly values: Float64Array;
  readonly steps: Float64Array;
  /** No element is less than the one before. */
  readonly rising: boolean;
  readonly falling: boolean;
  readonly least: number;
  readonly greatest: number;
}

type ConstantTable = IndexTable & { readonly kind: "constant" };

const known = new WeakMap<Float64Array, Map<string, TablePieces | undefined>>();

/**
 * Pieces of the elements of a constant table along an axis, the other indices given (that at the axis is not read);
 * undefined where not all are integers. Found once.
 */
export function tablePieces(table: ConstantTable, axis: number, at: readonly number[]): TablePieces | undefined {
  let ofTable = known.get(table.data);
  if (!ofTable) known.set(table.data, (ofTable = new Map()));
  const key = at.map((index, i) => (i === axis ? ":" : index)).join();
  if (!ofTable.has(key)) ofTable.set(key, piecesOf(line(table, axis, at)));
  return ofTable.get(key);
}

function line({ dims, data }: ConstantTable, axis: number, at: readonly number[]): Float64Array {
  if (dims.length === 1) return data;
  const offset = at.reduce((sum, index, i) => sum * dims[i]! + (i === axis ? 0 : index), 0);
  const stride = dims.slice(axis + 1).reduce((product, size) => product * size, 1);
  return Float64Array.from({ length: dims[axis]! }, (_, i) => data[offset + i * stride]!);
}

function piecesOf(data: Float64Array): TablePieces | undefined {
  const starts: number[] = [];
  const steps: number[] = [];
  let [rising, falling] = [true, true];
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < data.length; ) {
    const value = data[i]!;
    if (!Number.isInteger(value) || Math.abs(value) > 2 ** 28) return undefined;
    const step = (data[i + 1] ?? value) - value;
    // Two elements alone make no piece: what follows may go on with the second.
    let end = step === 0 || data[i + 2]! - data[i + 1]! === step ? i + 2 : i + 1;
    while (end > i + 1 && end < data.length && data[end]! - data[end - 1]! === step) end++;
    end = Math.min(end, data.length);
    starts.push(i);
    steps.push(end > i + 1 ? step : 0);
    const jump = (data[end] ?? data[end - 1]!) - data[end - 1]!;
    if (steps.at(-1)! < 0 || jump < 0) rising = false;
    if (steps.at(-1)! > 0 || jump > 0) falling = false;
    least = Math.min(least, value, data[end - 1]!);
    greatest = Math.max(greatest, value, data[end - 1]!);
    i = end;
  }
  const values = Float64Array.from(starts, (start) => data[start]!);
  return {
    length: data.length,
    starts: Int32Array.from([...starts, data.length]),
    values,
    steps: Float64Array.from(steps),
    rising,
    falling,
    least,
    greatest,
  };
}

/** The piece element `i` lies in. */
export function pieceAt({ starts }: TablePieces, i: number): number {
  let [low, high] = [0, starts.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= i) low = middle;
    else high = middle - 1;
  }
  return low;
}
