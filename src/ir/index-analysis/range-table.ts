import type { IndexTable } from "../index-expr/types.ts";

/** A constant table that answers the least and the greatest element of a range of it. */
export interface RangeTable {
  readonly dims: readonly number[];
  readonly data: Float64Array;
  /** All elements are integers. */
  readonly integer: boolean;
  /** Writes the bounds of elements `first … last` (row-major offsets, both within) to `out[0]` and `out[1]`. */
  bounds(first: number, last: number, out: Float64Array): void;
}

/** Elements under one leaf of the tree of bounds. */
const leaf = 64;
const made = new WeakMap<Float64Array, RangeTable>();

/** Bounds over ranges of a constant table; built once per table. Any NaN makes every bound infinite. */
export function rangeTable(table: IndexTable & { readonly kind: "constant" }): RangeTable {
  let known = made.get(table.data);
  if (!known) made.set(table.data, (known = build(table.dims, table.data)));
  return known;
}

function build(dims: readonly number[], data: Float64Array): RangeTable {
  let integer = true;
  let rising = true;
  let valid = true;
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (!Number.isInteger(value)) {
      integer = false;
      if (Number.isNaN(value)) valid = false;
    }
    if (i > 0 && value < data[i - 1]!) rising = false;
  }
  if (!valid) return { dims, data, integer: false, bounds: (_first, _last, out) => everything(out) };
  if (rising)
    return {
      dims,
      data,
      integer,
      bounds: (first, last, out) => {
        out[0] = data[first]!;
        out[1] = data[last]!;
      },
    };
  return { dims, data, integer, bounds: boundsByTree(data) };
}

function everything(out: Float64Array): void {
  out[0] = Number.NEGATIVE_INFINITY;
  out[1] = Number.POSITIVE_INFINITY;
}

function boundsByTree(data: Float64Array): RangeTable["bounds"] {
  const leaves = Math.ceil(data.length / leaf);
  const least = new Float64Array(2 * leaves).fill(Number.POSITIVE_INFINITY);
  const greatest = new Float64Array(2 * leaves).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < data.length; i++) {
    const node = leaves + Math.floor(i / leaf);
    least[node] = Math.min(least[node]!, data[i]!);
    greatest[node] = Math.max(greatest[node]!, data[i]!);
  }
  for (let node = leaves - 1; node > 0; node--) {
    least[node] = Math.min(least[2 * node]!, least[2 * node + 1]!);
    greatest[node] = Math.max(greatest[2 * node]!, greatest[2 * node + 1]!);
  }
  return (first, last, out) => {
    let lo = Number.POSITIVE_INFINITY;
    let hi = Number.NEGATIVE_INFINITY;
    const scan = (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        const value = data[i]!;
        if (value < lo) lo = value;
        if (value > hi) hi = value;
      }
    };
    const inner = Math.ceil(first / leaf);
    const outer = Math.floor((last + 1) / leaf);
    if (inner >= outer) scan(first, last + 1);
    else {
      scan(first, inner * leaf);
      scan(outer * leaf, last + 1);
      for (let a = inner + leaves, b = outer + leaves; a < b; a >>= 1, b >>= 1) {
        if (a & 1) {
          lo = Math.min(lo, least[a]!);
          hi = Math.max(hi, greatest[a++]!);
        }
        if (b & 1) {
          lo = Math.min(lo, least[--b]!);
          hi = Math.max(hi, greatest[b]!);
        }
      }
    }
    out[0] = lo;
    out[1] = hi;
  };
}
