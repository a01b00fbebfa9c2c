import type { AttrSpecs } from "../attrs.ts";
import type { Dim } from "../dim.ts";
import { isFloat, isInteger } from "../dtype.ts";
import type { InferContext } from "../op-def.ts";
import { axisFromFirst, broadcastShapes, showShape, type TensorType } from "../types.ts";

type Infer = InferContext<AttrSpecs>;

/** `C1`: the first operand is floating point. Result: the same type. */
export function floatSame(cx: Infer): TensorType {
  cx.require(isFloat(cx.types[0]!.dtype), "C1", `${cx.types[0]!.dtype} is not floating point`);
  return cx.types[0]!;
}

/** `C1`: the first operand is a number. Result: the same type. */
export function numericSame(cx: Infer): TensorType {
  const { dtype } = cx.types[0]!;
  cx.require(isFloat(dtype) || isInteger(dtype), "C1", `${dtype} is not numeric`);
  return cx.types[0]!;
}

/** `C1`: one element type. `C2`: shapes broadcast. Result: the common shape, in `dtype` if given. */
export function broadcastAll(cx: Infer, types: readonly TensorType[], dtype?: TensorType["dtype"]): TensorType {
  const first = types[0]!;
  let shape: readonly Dim[] = first.shape;
  for (const type of types.slice(1)) {
    cx.require(type.dtype === first.dtype, "C1", `element types differ: ${first.dtype} and ${type.dtype}`);
    shape = cx.need(
      broadcastShapes(shape, type.shape),
      "C2",
      `shapes ${showShape(shape)} and ${showShape(type.shape)} do not broadcast`,
    );
  }
  return { dtype: dtype ?? first.dtype, shape };
}

/** The axis of `x` in the shape it is stretched to; undefined for an axis that is repeated. */
export function stretchedAxis(x: TensorType, to: TensorType, axis: number): number | undefined {
  const at = axis + to.shape.length - x.shape.length;
  return x.shape[axis] === to.shape[at] ? at : undefined;
}

/** For ops that mix along one axis, and keep the order of axes: each axis but that one. */
export const allButAxis = (
  { types, attrs }: { readonly types: readonly TensorType[]; readonly attrs: { readonly axis: number } },
  operand: number,
  axis: number,
): number | undefined => (axis === axisIn(attrs.axis, types[operand]!.shape.length) ? undefined : axis);

/** The axis counted from 0, or undefined outside `[-rank, rank)`. */
export const axisIn = (axis: number, rank: number): number | undefined =>
  axis >= -rank && axis < rank ? axisFromFirst(axis, rank) : undefined;
