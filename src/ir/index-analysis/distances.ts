import { atLeast, type Dim, max, min } from "../dim.ts";
import type { IndexTable, LengthName } from "../index-expr/types.ts";

/**
 * How far from the diagonal a mask can be true: `back` bounds q - k, `ahead` bounds k - q. Undefined: only the lengths
 * bound it. Bounds always hold; a mask that is never true may have any.
 */
export interface Reach {
  readonly back: Dim | undefined;
  readonly ahead: Dim | undefined;
}

/** Residue every distance has: q - k ≡ residue (mod modulus). */
export interface Stride {
  readonly modulus: number;
  readonly residue: number;
}

export interface Distances extends Reach {
  readonly stride: Stride | undefined;
}

export interface ReachContext {
  readonly tables: readonly IndexTable[];
  readonly lengths: Readonly<Record<LengthName, Dim>>;
  /** One side of a clamp: near the ends of the sequence the lengths bound the distance. */
  readonly clamped?: true;
}

/** Nothing is known. */
export const unbounded: Distances = { back: undefined, ahead: undefined, stride: undefined };

/** The tighter of two bounds. */
export const lesser = (a: Dim | undefined, b: Dim | undefined) =>
  a === undefined ? b : b === undefined ? a : min(a, b);
const greater = (a: Dim | undefined, b: Dim | undefined) =>
  a === undefined || b === undefined ? undefined : max(a, b);

/** Where two conditions hold at once. */
export const both = (a: Distances, b: Distances): Distances => ({
  back: lesser(a.back, b.back),
  ahead: lesser(a.ahead, b.ahead),
  stride: a.stride ?? b.stride,
});

/** Where one of two conditions holds, or both. */
export const either = (a: Distances, b: Distances): Distances => ({
  back: greater(a.back, b.back),
  ahead: greater(a.ahead, b.ahead),
  stride:
    a.stride && b.stride && a.stride.modulus === b.stride.modulus && a.stride.residue === b.stride.residue
      ? a.stride
      : undefined,
});

/** No key after its query is seen. */
export const isCausal = ({ ahead }: Reach): boolean => ahead !== undefined && atLeast(0, ahead);
