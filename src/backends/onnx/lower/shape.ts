import type { Dim } from "../../../ir/dim.ts";
import { sameShape } from "../../../ir/types.ts";
import type { Emitter } from "./emitter.ts";
import { int, ints, type Ref } from "./ref.ts";

/**
 * `x` under another shape of as many elements. Uses, in this order: nothing; a constant shape; one that copies
 * symbolic axes that stay in place; one that leaves the only symbolic axis to the runtime; axes of size 1 added or
 * taken away; a shape computed from dimensions. All of them are right for empty tensors too.
 */
export function reshape(e: Emitter, x: Ref, shape: readonly Dim[]): Ref {
  const from = x.type.shape;
  if (sameShape(from, shape)) return x;
  const type = { dtype: x.type.dtype, shape };
  const fixed = constantShape(from, shape);
  if (fixed)
    return e.op(type, "Reshape", [x, e.indices(fixed.values)], { allowzero: fixed.literal ? int(1) : undefined });
  const added = onesAdded(from, shape);
  if (added) return e.op(type, "Unsqueeze", [x, e.indices(added)]);
  const removed = onesAdded(shape, from);
  if (removed) return e.op(type, "Squeeze", [x, e.indices(removed)]);
  return e.op(type, "Reshape", [x, e.vector(shape)], { allowzero: int(1) });
}

interface ConstantShape {
  readonly values: readonly number[];
  /** A 0 means an empty axis, not a copy. */
  readonly literal: boolean;
}

/** A shape known when the model is written: 0 copies an axis, -1 stands for the only one that is not known. */
function constantShape(from: readonly Dim[], to: readonly Dim[]): ConstantShape | undefined {
  if (to.every((dim) => typeof dim === "number")) return { values: to, literal: to.includes(0) };
  if (to.includes(0)) return undefined;
  const copied = to.map((dim, axis) => (typeof dim === "number" ? dim : dim === from[axis] ? 0 : -1));
  const unknown = copied.filter((dim) => dim === -1).length;
  if (unknown === 0) return { values: copied, literal: false };
  // A -1 beside a copied axis cannot be solved when that axis is empty.
  const symbolic = to.filter((dim) => typeof dim !== "number").length;
  return symbolic === 1 ? { values: copied, literal: false } : undefined;
}

/** The axes of `to` that are 1 and that `from` lacks, where nothing else differs. */
function onesAdded(from: readonly Dim[], to: readonly Dim[]): readonly number[] | undefined {
  const added: number[] = [];
  let at = 0;
  for (const [axis, dim] of to.entries()) {
    if (at < from.length && from[at] === dim && (dim !== 1 || to.length - axis <= from.length - at)) at++;
    else if (dim === 1) added.push(axis);
    else return undefined;
  }
  return at === from.length ? added : undefined;
}

/** `x` with axis i of the result being axis `perm[i]` of `x`; `x` itself where nothing moves. */
export function transpose(e: Emitter, x: Ref, perm: readonly number[]): Ref {
  if (perm.every((axis, i) => axis === i)) return x;
  const shape = perm.map((axis) => x.type.shape[axis]!);
  return e.op({ dtype: x.type.dtype, shape }, "Transpose", [x], { perm: ints(perm) });
}

/** Elements `start` up to but without `end` along `axis`. */
export function slice(e: Emitter, x: Ref, axis: number, start: Dim, end: Dim, shape: readonly Dim[]): Ref {
  const size = x.type.shape[axis]!;
  if (start === 0 && end === size) return x;
  const fromEnd = end === size ? e.indices([lastIndex]) : e.vector([end]);
  return e.op({ dtype: x.type.dtype, shape }, "Slice", [x, e.vector([start]), fromEnd, e.indices([axis])]);
}

/** Larger than any axis; `Slice` cuts it down to the axis' end. */
const lastIndex = 2 ** 53 - 1;
