import { type Dim, mul, product, show } from "./dim.ts";
import { byteSize, type DType } from "./dtype.ts";

/** Element type and shape of a value. Shapes may be symbolic. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** `f32[B, 12, 64]`. */
export const showType = ({ dtype, shape }: TensorType): string => `${dtype}${showShape(shape)}`;
export const showShape = (shape: readonly Dim[]): string => `[${shape.map(show).join(", ")}]`;

/** Provably equal: dimensions are interned, so identity decides. */
export const sameShape = (a: readonly Dim[], b: readonly Dim[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);
export const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && sameShape(a.shape, b.shape);

/** An axis of a tensor, counted from the first one: negative ones are counted from behind. */
export const axisFromFirst = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Number of elements. */
export const volume = ({ shape }: TensorType): Dim => product(shape);
/** Bytes in memory. */
export const bytesOf = (type: TensorType): Dim => mul(byteSize(type.dtype), volume(type));

/**
 * The shape both broadcast to, aligned at the last axis as NumPy does: equal dimensions stay, a literal 1 stretches.
 * Undefined where two dimensions are neither provably equal nor 1.
 */
export function broadcastShapes(a: readonly Dim[], b: readonly Dim[]): readonly Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    shape.push(x === 1 ? y : x);
  }
  return shape;
}
