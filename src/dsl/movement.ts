import { fail } from "../ir/diagnostics.ts";
import { type Dim, mod as modulo, show, sub as subtract, sum as sumDims } from "../ir/dim.ts";
import { showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkAxis, checkOptions, describe, toDim, toDims } from "./checks.ts";
import type { DimLike, Dims, Keep, Shape } from "./shape-types.ts";
import {
  apply,
  asTensor,
  type DTypeOf,
  elementwise,
  type Operand,
  type ShapeOf,
  scalar,
  type Tensor,
} from "./tensor.ts";

/** The same elements in row-major order under another shape. */
export function reshape<T extends Tensor, const S extends Shape>(x: T, shape: S): Tensor<Dims<S>, DTypeOf<T>> {
  return run(reshape, [x, shape], (b) => reshapeTo(b, asTensor(b, x, "x"), toDims(shape, "the new shape"))) as never;
}

/** x under another shape; x itself where it already has it. */
export function reshapeTo(b: Builder, x: Tensor, shape: readonly Dim[]): Tensor {
  const same = shape.length === x.rank && shape.every((dim, i) => dim === x.shape[i]);
  return same ? x : apply(b, "reshape", [x], { shape });
}

type Permuted<S extends Shape, P extends readonly number[]> = number extends S["length"]
  ? Shape
  : number extends P["length"]
    ? Shape
    : { readonly [K in keyof P]: P[K] extends keyof S & number ? Keep<S[P[K]]> : DimLike };

/** Reorders axes: axis i of the result is axis `perm[i]` of x. Without `perm`, the last two change places. */
export function transpose<T extends Tensor, const P extends readonly number[]>(
  x: T,
  perm: P,
): Tensor<Permuted<ShapeOf<T>, P>, DTypeOf<T>>;
export function transpose<T extends Tensor>(x: T): Tensor<SwapLast<ShapeOf<T>>, DTypeOf<T>>;
export function transpose(x: Tensor, perm?: readonly number[]): Tensor {
  return run(transpose as never, [x, perm], (b) => {
    const tensor = asTensor(b, x, "x");
    const { rank } = tensor;
    if (perm === undefined && rank < 2) fail("QKV110", `transpose: x has ${rank} axes, two are needed`);
    return permute(b, tensor, perm ?? [...Array(rank - 2).keys(), rank - 1, rank - 2]);
  });
}

type SwapLast<S extends Shape> = number extends S["length"]
  ? Shape
  : S extends readonly [...infer Head extends Shape, infer A extends DimLike, infer B extends DimLike]
    ? readonly [...Head, B, A]
    : Shape;

export function permute(b: Builder, x: Tensor, perm: readonly number[]): Tensor {
  return perm.every((axis, i) => axis === i) && perm.length === x.rank ? x : apply(b, "transpose", [x], { perm });
}

/** Repeats x along new leading axes and along axes of size 1 until it has `shape`. */
export function broadcastTo<T extends Tensor, const S extends Shape>(x: T, shape: S): Tensor<Dims<S>, DTypeOf<T>> {
  return run(broadcastTo, [x, shape], (b) =>
    apply(b, "broadcast", [asTensor(b, x, "x")], { shape: toDims(shape, "the new shape") }),
  ) as never;
}

/** Elements `start` up to but without `end` along `axis`. Negative integers count from the end. */
export function slice<T extends Tensor>(
  x: T,
  options: { readonly axis: number; readonly start?: DimLike; readonly end?: DimLike },
): Tensor<Shape, DTypeOf<T>> {
  return run(slice, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const { axis, start = 0, end } = checkOptions(options, ["axis", "start", "end"], "slice");
    const at = checkAxis(axis, tensor.rank, "slice");
    const size = tensor.shape[at]!;
    return cut(b, tensor, at, bound(start, size, "start"), end === undefined ? size : bound(end, size, "end"));
  }) as never;
}

function bound(value: DimLike, size: Dim, what: string): Dim {
  if (typeof value !== "number") return toDim(value, what);
  if (!Number.isSafeInteger(value)) return fail("QKV101", `${what} is ${describe(value)}; it must be an integer`);
  return value < 0 ? subtract(size, -value) : value;
}

export const cut = (b: Builder, x: Tensor, axis: number, start: Dim, end: Dim): Tensor =>
  start === 0 && end === x.shape[axis] ? x : apply(b, "slice", [x], { axis, start, end });

/** Joins tensors along an axis. */
export function concat<const Xs extends readonly Tensor[]>(xs: Xs, axis: number): Tensor<Shape, DTypeOf<Xs[number]>> {
  return run(concat, [...(Array.isArray(xs) ? xs : [])], (b) => {
    if (!Array.isArray(xs) || xs.length === 0)
      return fail("QKV106", `concat takes a list of tensors, not ${describe(xs)}`);
    const tensors = xs.map((x, i) => asTensor(b, x, `operand ${i + 1}`));
    return apply(b, "concat", tensors, { axis: checkAxis(axis, tensors[0]!.rank, "concat") });
  }) as never;
}

/** Joins tensors of one shape along a new axis. */
export function stack(xs: readonly Tensor[], axis = 0): Tensor {
  return run(stack, [...xs], (b) => {
    const tensors = xs.map((x, i) => asTensor(b, x, `operand ${i + 1}`));
    const at = checkAxis(axis, (tensors[0]?.rank ?? 0) + 1, "stack");
    return apply(
      b,
      "concat",
      tensors.map((x) => reshapeTo(b, x, x.shape.toSpliced(at, 0, 1))),
      { axis: at },
    );
  });
}

/** Cuts x along `axis`: into parts of the sizes given, or into as many equal parts. */
export function split<T extends Tensor>(
  x: T,
  parts: number | readonly DimLike[],
  axis: number,
): readonly Tensor<Shape, DTypeOf<T>>[] {
  return run(split, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const at = checkAxis(axis, tensor.rank, "split");
    const sizes = typeof parts === "number" ? equalParts(tensor.shape[at]!, parts) : toDims(parts, "the parts");
    const total = sumDims(sizes);
    if (total !== tensor.shape[at])
      fail("QKV107", `split: the parts add up to ${show(total)}, the axis has ${show(tensor.shape[at]!)}`);
    const { results } = b.arena.node("split", [tensor.value], { axis: at, sizes });
    return results.map((value) => resultOf(b, tensor, value));
  }) as never;
}

/** One of several results of an op, as a tensor. */
export const resultOf = (b: Builder, like: Tensor, value: Tensor["value"]): Tensor =>
  new (like.constructor as new (b: Builder, value: Tensor["value"]) => Tensor)(b, value);

function equalParts(size: Dim, count: number): readonly Dim[] {
  if (!Number.isSafeInteger(count) || count < 1)
    return fail("QKV101", `split: ${describe(count)} is no number of parts`);
  if (typeof size !== "number" || size % count !== 0)
    return fail("QKV108", `split: ${count} parts do not divide ${show(size)}`);
  return new Array<Dim>(count).fill(size / count);
}

/** Adds `low` elements before and `high` after x along `axis`, each `value` (0). */
export function pad<T extends Tensor>(
  x: T,
  options: { readonly axis: number; readonly low?: DimLike; readonly high?: DimLike; readonly value?: number },
): Tensor<Shape, DTypeOf<T>> {
  return run(pad, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const { axis, low = 0, high = 0, value = 0 } = checkOptions(options, ["axis", "low", "high", "value"], "pad");
    const count = (dim: DimLike, what: string) => (dim === 0 ? 0 : toDim(dim, what));
    return apply(b, "pad", [tensor], {
      axis: checkAxis(axis, tensor.rank, "pad"),
      low: count(low, "low"),
      high: count(high, "high"),
      value,
    });
  }) as never;
}

/** x with its elements moved `shift` places along an axis; those that fall off the end come in at the start, as in NumPy. */
export function roll<T extends Tensor>(x: T, options: { readonly axis: number; readonly shift: number }): T {
  return run(roll, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const { axis, shift } = checkOptions(options, ["axis", "shift"], "roll");
    const at = checkAxis(axis, tensor.rank, "roll");
    const size = tensor.shape[at]!;
    if (!Number.isSafeInteger(shift)) return fail("QKV101", `roll: shift is ${describe(shift)}; it must be an integer`);
    const by = modulo(shift, size);
    if (by === 0) return tensor;
    const [head, tail] = [cut(b, tensor, at, 0, subtract(size, by)), cut(b, tensor, at, subtract(size, by), size)];
    return apply(b, "concat", [tail, head], { axis: at });
  }) as T;
}

/** Adds an axis of size 1 at each position of the result. */
export function expandDims<T extends Tensor>(x: T, ...axes: readonly number[]): Tensor<Shape, DTypeOf<T>> {
  return run(expandDims, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const rank = tensor.rank + axes.length;
    const at = new Set(axes.map((axis) => checkAxis(axis, rank, "expandDims")));
    if (at.size !== axes.length) fail("QKV110", `expandDims: an axis occurs twice in ${describe(axes)}`);
    const rest = [...tensor.shape];
    return reshapeTo(
      b,
      tensor,
      Array.from({ length: rank }, (_, i) => (at.has(i) ? 1 : rest.shift()!)),
    );
  }) as never;
}

/** Removes axes of size 1. */
export function squeeze<T extends Tensor>(x: T, ...axes: readonly number[]): Tensor<Shape, DTypeOf<T>> {
  return run(squeeze, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const at = new Set(axes.map((axis) => checkAxis(axis, tensor.rank, "squeeze")));
    for (const axis of at)
      if (tensor.shape[axis] !== 1)
        fail(
          "QKV107",
          `squeeze: axis ${axis} of ${showType(tensor.value.type)} is ${show(tensor.shape[axis]!)}, not 1`,
        );
    return reshapeTo(
      b,
      tensor,
      tensor.shape.filter((_, axis) => !at.has(axis)),
    );
  }) as never;
}

/** `x` where the condition holds, `y` elsewhere. Either may be a number. */
export function where<A extends Operand, B extends Operand>(
  condition: Tensor,
  x: A,
  y: B,
): Tensor<Shape, A extends Tensor ? DTypeOf<A> : DTypeOf<B>> {
  return run(where, [condition, x, y], (b) => {
    const test = asTensor(b, condition, "condition");
    if (test.dtype !== "bool")
      fail("QKV109", `where: the condition is ${test.dtype}, not bool`, {
        help: "compare first: less(x, y), notEqual(x, 0)",
      });
    const like = [x, y].find((side) => typeof side !== "number");
    const dtype = like === undefined ? "f32" : asTensor(b, like, "x").dtype;
    const [left, right] = [x, y].map((side, i) =>
      typeof side === "number" ? scalar(b, side, dtype) : asTensor(b, side, i === 0 ? "x" : "y"),
    ) as [Tensor, Tensor];
    if (left.dtype !== right.dtype) elementwise(b, "add", [left, right]);
    return apply(b, "select", [test, left, right]);
  }) as never;
}
