import { fail } from "../ir/diagnostics.ts";
import { isFloat } from "../ir/dtype.ts";
import type { OpName } from "../ir/ops/index.ts";
import { type Builder, run } from "./builder.ts";
import { checkAxis, checkOptions } from "./checks.ts";
import { reshapeTo } from "./movement.ts";
import type { Shape } from "./shape-types.ts";
import { apply, asTensor, type DTypeOf, elementwise, scalar, type Tensor } from "./tensor.ts";

export interface ReduceOptions {
  /** Axes to reduce, counted from the end where negative. */
  readonly axes: number | readonly number[];
  /** Keep reduced axes with size 1. */
  readonly keepDims?: boolean;
}

function reduced(b: Builder, op: OpName, x: unknown, options: ReduceOptions): Tensor {
  const tensor = asTensor(b, x, "x");
  const { axes, keepDims = false } = checkOptions(options, ["axes", "keepDims"], op);
  const list = typeof axes === "number" ? [axes] : axes;
  if (!Array.isArray(list)) return fail("QKV110", `${op} needs axes`, { help: "write { axes: -1 }" });
  const normal = list.map((axis) => checkAxis(axis, tensor.rank, op));
  if (new Set(normal).size !== normal.length) fail("QKV110", `${op}: an axis occurs twice in [${list.join(", ")}]`);
  return apply(b, op, [tensor], { axes: normal, keepDims });
}

/** Sum along axes. */
export function sum<T extends Tensor>(x: T, options: ReduceOptions): Tensor<Shape, DTypeOf<T>> {
  return run(sum, [x], (b) => reduced(b, "reduceSum", x, options)) as never;
}
/** Arithmetic mean along axes. */
export function mean<T extends Tensor>(x: T, options: ReduceOptions): Tensor<Shape, DTypeOf<T>> {
  return run(mean, [x], (b) => reduced(b, "reduceMean", x, options)) as never;
}
/** Largest along axes. */
export function max<T extends Tensor>(x: T, options: ReduceOptions): Tensor<Shape, DTypeOf<T>> {
  return run(max, [x], (b) => reduced(b, "reduceMax", x, options)) as never;
}
/** Smallest along axes. */
export function min<T extends Tensor>(x: T, options: ReduceOptions): Tensor<Shape, DTypeOf<T>> {
  return run(min, [x], (b) => reduced(b, "reduceMin", x, options)) as never;
}

export interface CumsumOptions {
  /** Axis to sum along, counted from the end where negative. */
  readonly axis: number;
  /** Leave out the element itself; false by default. */
  readonly exclusive?: boolean;
  /** Sum from the end; false by default. */
  readonly reverse?: boolean;
}

/** Running sum along an axis: element i is the sum of elements 0 … i. Throws QKV109, QKV110, QKV120. */
export function cumsum<T extends Tensor>(x: T, options: CumsumOptions): T {
  return run(cumsum, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const {
      axis,
      exclusive = false,
      reverse = false,
    } = checkOptions(options, ["axis", "exclusive", "reverse"], "cumsum");
    if (tensor.dtype === "bool") fail("QKV109", "cumsum: x is bool, not a number", { help: 'write x.cast("i64")' });
    return apply(b, "cumsum", [tensor], { axis: checkAxis(axis, tensor.rank, "cumsum"), exclusive, reverse });
  }) as T;
}

/** ln Σ eˣ along axes, whatever the size of x; -∞ where all of x is. Throws QKV109, QKV110. */
export function logSumExp<T extends Tensor>(x: T, options: ReduceOptions): Tensor<Shape, DTypeOf<T>> {
  return run(logSumExp, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    if (!isFloat(tensor.dtype))
      fail("QKV109", `logSumExp: x is ${tensor.dtype}, not floating point`, { help: 'write x.cast("f32")' });
    const most = reduced(b, "reduceMax", tensor, { ...options, keepDims: true });
    // Infinities are not taken off: their difference is NaN.
    const finite = elementwise(b, "less", [elementwise(b, "abs", [most]), Number.POSITIVE_INFINITY]);
    const shift = apply(b, "select", [finite, most, scalar(b, 0, tensor.dtype)]);
    const total = reduced(b, "reduceSum", elementwise(b, "exp", [elementwise(b, "sub", [tensor, shift])]), options);
    return elementwise(b, "add", [elementwise(b, "log", [total]), reshapeTo(b, shift, total.shape)]);
  }) as never;
}

export interface AxisOptions {
  /** Axis to normalise over; the last by default. */
  readonly axis?: number;
}

function alongAxis<T>(b: Builder, op: "softmax" | "logSoftmax", x: T, options: AxisOptions | undefined): T {
  const tensor = asTensor(b, x, "x");
  const { axis = -1 } = checkOptions(options, ["axis"], op);
  if (!isFloat(tensor.dtype))
    fail("QKV109", `${op}: x is ${tensor.dtype}, not floating point`, { help: 'write x.cast("f32")' });
  return apply(b, op, [tensor], { axis: checkAxis(axis, tensor.rank, op) }) as T;
}

/** Normalised exponentials along an axis, the last by default. */
export function softmax<T extends Tensor>(x: T, options?: AxisOptions): T {
  return run(softmax, [x], (b) => alongAxis(b, "softmax", x, options));
}
/** Logarithm of softmax. */
export function logSoftmax<T extends Tensor>(x: T, options?: AxisOptions): T {
  return run(logSoftmax, [x], (b) => alongAxis(b, "logSoftmax", x, options));
}
