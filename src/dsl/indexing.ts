import { fail } from "../ir/diagnostics.ts";
import type { DType } from "../ir/dtype.ts";
import { showShape } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkAxis, checkDType, checkOptions, describe, toDim } from "./checks.ts";
import { permute, reshapeTo, resultOf } from "./movement.ts";
import type { DimLike, Dims, Shape } from "./shape-types.ts";
import { apply, asTensor, castTo, type DTypeOf, type ShapeOf, sameDType, type Tensor } from "./tensor.ts";

export interface GatherOptions {
  /** Axis of x the indices run along; the first after the shared ones by default. */
  readonly axis?: number;
  /** How many leading axes x and the indices share: each batch has its own indices. 0 by default. */
  readonly batch?: number;
}

function placesOf(b: Builder, x: Tensor, indices: Tensor, options: GatherOptions, what: string) {
  const at = asTensor(b, indices, "indices");
  if (at.dtype !== "i64" && at.dtype !== "i32")
    fail("QKV109", `${what}: indices are ${at.dtype}; they must be i64 or i32`, { help: 'write indices.cast("i64")' });
  const { batch = 0, axis = batch } = options;
  if (!Number.isSafeInteger(batch) || batch < 0 || batch > at.rank)
    fail("QKV110", `${what}: batch is ${describe(batch)}; the indices have ${at.rank} axes`);
  const along = checkAxis(axis, x.rank, what);
  const shared = x.shape.slice(0, batch).every((dim, i) => dim === at.shape[i]);
  if (along < batch || !shared)
    fail("QKV107", `${what}: x and indices do not share ${batch} axes before axis ${along}`, {
      notes: [`x: ${showShape(x.shape)}    indices: ${showShape(at.shape)}`],
    });
  return { indices: at, attrs: { axis: along, batch } };
}

/**
 * Picks slices of x by index (i64 or i32): `axis` of x is replaced by the indices' own axes. With `batch: 1`, x is
 * [batch, n, …] and indices [batch, …]: each batch picks among its own n. Throws QKV107, QKV109, QKV110, QKV120.
 */
export function gather<T extends Tensor>(
  x: T,
  indices: Tensor,
  options: number | GatherOptions = {},
): Tensor<Shape, DTypeOf<T>> {
  return run(gather, [x, indices], (b) => {
    const data = asTensor(b, x, "x");
    const given = typeof options === "number" ? { axis: options } : checkOptions(options, ["axis", "batch"], "gather");
    const places = placesOf(b, data, indices, given, "gather");
    return apply(b, "gather", [data, places.indices], places.attrs);
  }) as never;
}

export interface ScatterOptions extends GatherOptions {
  /** `"add"` sums what meets at one place; with `"none"` (the default) the last stays. */
  readonly reduction?: "none" | "add";
}

/**
 * x with `updates` put at the places `gather` would pick with the same indices; they have the shape `gather` gives.
 * Throws QKV107, QKV109, QKV110, QKV120, QKV210.
 */
export function scatter<T extends Tensor>(x: T, indices: Tensor, updates: Tensor, options?: ScatterOptions): T {
  return run(scatter, [x, indices, updates], (b) => {
    const [data, values] = [asTensor(b, x, "x"), asTensor(b, updates, "updates")];
    const { reduction = "none", ...rest } = checkOptions(options, ["axis", "batch", "reduction"], "scatter");
    if (reduction !== "none" && reduction !== "add")
      fail("QKV120", `scatter: the reduction is ${describe(reduction)}`, { help: 'write "none" or "add"' });
    sameDType([data, values], "scatter");
    const places = placesOf(b, data, indices, rest, "scatter");
    return apply(b, "scatter", [data, places.indices, values], { ...places.attrs, reduction });
  }) as T;
}

/**
 * The element of x each index names along `axis`; all other axes are those of x, as in NumPy's `take_along_axis`:
 * `takeAlong(x, argSort(x))` is `sort(x)`. Throws QKV107, QKV109, QKV110.
 */
export function takeAlong<T extends Tensor>(x: T, indices: Tensor, axis = -1): Tensor<Shape, DTypeOf<T>> {
  return run(takeAlong, [x, indices], (b) => {
    const [data, at] = [asTensor(b, x, "x"), asTensor(b, indices, "indices")];
    const along = checkAxis(axis, data.rank, "takeAlong");
    if (at.rank !== data.rank)
      fail("QKV110", `takeAlong: x has ${data.rank} axes, indices have ${at.rank}`, {
        help: "gather picks whole slices: gather(x, indices, { axis, batch })",
      });
    const last = data.rank - 1;
    const perm = data.shape.map((_, i) => (i === along ? last : i === last ? along : i));
    const turned = permute(b, data, perm);
    const places = placesOf(b, turned, permute(b, at, perm), { axis: last, batch: last }, "takeAlong");
    return permute(b, apply(b, "gather", [turned, places.indices], places.attrs), perm);
  }) as never;
}

export interface TopKOptions {
  /** Axis to rank; the last by default. */
  readonly axis?: number;
  /** The smallest first instead of the largest; false by default. */
  readonly smallest?: boolean;
}

function ranked(b: Builder, x: unknown, k: DimLike | undefined, options: TopKOptions | undefined, what: string) {
  const tensor = asTensor(b, x, "x");
  const { axis = -1, smallest = false } = checkOptions(options, ["axis", "smallest"], what);
  if (tensor.dtype === "bool") fail("QKV109", `${what}: x is bool`, { help: 'write x.cast("i32")' });
  const along = checkAxis(axis, tensor.rank, what);
  const count = k === undefined ? tensor.shape[along]! : toDim(k, "k");
  const { results } = b.arena.node("topK", [tensor.value], { k: count, axis: along, largest: !smallest });
  return results.map((value) => resultOf(b, tensor, value)) as unknown as readonly [Tensor, Tensor<Shape, "i64">];
}

/**
 * The k largest elements along an axis, in order, and their indices: `const [values, indices] = topK(x, 4)`. Of equal
 * elements the lower index comes first. k may be symbolic: `topK(x, "min(4, seq)")`. Throws QKV101, QKV109, QKV110, QKV210.
 */
export function topK<T extends Tensor>(
  x: T,
  k: DimLike,
  options?: TopKOptions,
): readonly [values: Tensor<Shape, DTypeOf<T>>, indices: Tensor<Shape, "i64">] {
  return run(topK, [x], (b) => ranked(b, x, k, options, "topK")) as never;
}

export interface SortOptions {
  /** Axis to sort; the last by default. */
  readonly axis?: number;
  /** Largest first; false by default. */
  readonly descending?: boolean;
}

function sorted(b: Builder, x: unknown, options: SortOptions | undefined, what: string) {
  const { descending = false, ...rest } = checkOptions(options, ["axis", "descending"], what);
  return ranked(b, x, undefined, { ...rest, smallest: !descending }, what);
}

/** x in ascending order along an axis. Throws QKV109, QKV110. */
export function sort<T extends Tensor>(x: T, options?: SortOptions): T {
  return run(sort, [x], (b) => sorted(b, x, options, "sort")[0]) as unknown as T;
}

/** The indices (i64) that put x in ascending order along an axis. Stable: equal elements stay in order. */
export function argSort<T extends Tensor>(x: T, options?: SortOptions): Tensor<ShapeOf<T>, "i64"> {
  return run(argSort, [x], (b) => sorted(b, x, options, "argSort")[1]) as never;
}

export interface ArgOptions {
  /** Axis to search; the last by default. */
  readonly axis?: number;
  /** Keep the axis with size 1. */
  readonly keepDims?: boolean;
}

function extreme(b: Builder, x: unknown, options: ArgOptions | undefined, smallest: boolean, what: string): Tensor {
  const { axis = -1, keepDims = false } = checkOptions(options, ["axis", "keepDims"], what);
  const [, index] = ranked(b, x, 1, { axis, smallest }, what);
  const along = checkAxis(axis, index.rank, what);
  return keepDims ? index : reshapeTo(b, index, index.shape.toSpliced(along, 1));
}

/** Where the largest element along an axis stands (i64), the first of equal ones. Throws QKV109, QKV110. */
export function argMax(x: Tensor, options?: ArgOptions): Tensor<Shape, "i64"> {
  return run(argMax, [x], (b) => extreme(b, x, options, false, "argMax")) as never;
}

/** Where the smallest element along an axis stands (i64), the first of equal ones. Throws QKV109, QKV110. */
export function argMin(x: Tensor, options?: ArgOptions): Tensor<Shape, "i64"> {
  return run(argMin, [x], (b) => extreme(b, x, options, true, "argMin")) as never;
}

/** 1 where the new last axis of size `depth` meets the index, 0 elsewhere. f32 unless said. Throws QKV101, QKV109. */
export function oneHot<T extends Tensor, const N extends DimLike, D extends DType = "f32">(
  indices: T,
  depth: N,
  dtype?: D,
): Tensor<readonly [...ShapeOf<T>, Dims<readonly [N]>[0]], D> {
  return run(oneHot, [indices], (b) => {
    const at = asTensor(b, indices, "indices");
    if (at.dtype !== "i64" && at.dtype !== "i32")
      fail("QKV109", `oneHot: indices are ${at.dtype}; they must be i64 or i32`, { help: 'write indices.cast("i64")' });
    const places = apply(b, "iota", [], { size: toDim(depth, "the depth"), dtype: at.dtype });
    const hit = apply(b, "equal", [reshapeTo(b, at, [...at.shape, 1]), places]);
    return castTo(b, hit, checkDType(dtype ?? "f32", "oneHot"));
  }) as never;
}
