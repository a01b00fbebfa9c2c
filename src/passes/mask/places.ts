import type { Build } from "../../ir/arena.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { fromNumbers } from "../../ir/tensor.ts";

/** Places of queries and keys are f64, as formulas compute. */
export const f64 = (b: Build, value: number): Value => b.scalar(value, "f64");

/** 0, 1, … along one of `rank` axes. */
export function along(b: Build, size: Dim, axis: number, rank: number): Value {
  const shape = new Array<Dim>(rank).fill(1);
  shape[axis] = size;
  return b.reshape(b.iota({ size, dtype: "f64" }), { shape });
}

/** Places that are known. */
export const listed = (b: Build, places: readonly number[], dims: readonly number[]): Value =>
  b.constant({ value: fromNumbers("f64", dims, places) });

/** A dimension as a number at run time. */
export const sizeOf = (b: Build, dim: Dim): Value =>
  typeof dim === "number" ? f64(b, dim) : b.cast(b.size({ of: dim }), { to: "f64" });

/** Places brought within a length. */
export const clamped = (b: Build, x: Value, length: Dim): Value =>
  b.min(b.max(x, f64(b, 0)), b.sub(sizeOf(b, length), f64(b, 1)));

/** Places of keys of blocks that begin `back` keys before the block's own queries: f64 [count, width], and q - k. */
export function slidingPlaces(b: Build, rows: number, count: Dim, width: number, back: Dim) {
  const starts = b.mul(along(b, count, 0, 2), f64(b, rows));
  const within = b.sub(along(b, width, 1, 2), sizeOf(b, back));
  return { places: b.add(starts, within), difference: b.sub(along(b, rows, 0, 2), within) };
}
