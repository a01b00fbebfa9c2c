/**
 * What is known of every part of a formula over a box of indices, one slot per part. `mod` is
 *  - 0: the value is exactly `lo` = `hi`;
 *  - m ≥ 1: an integer in [lo, hi], congruent to `rem` modulo m;
 *  - `real`: a finite number in [lo, hi];
 *  - `anything`: no statement; it may be NaN or infinite.
 * Bounds are what JavaScript's own arithmetic can answer: rounding is monotone, so intervals of its own operations hold.
 */
export interface Slots {
  readonly lo: Float64Array;
  readonly hi: Float64Array;
  readonly mod: Float64Array;
  readonly rem: Float64Array;
  /** Parts made by bit operators. Of these it is known which bits are not known, and what the others are (0 elsewhere). */
  readonly isBits: Uint8Array;
  readonly unknown: Int32Array;
  readonly known: Int32Array;
}

const real = -1;
export const anything = -2;

/** Integers beyond are not told apart by float64. */
const largestExact = 2 ** 53;

/** Magnitudes within which integer combinations are exact in float64, whatever their order. */
export const largestTerm = 2 ** 28;

/** The part is an integer of such a magnitude. */
export const isExactTerm = (s: Slots, i: number): boolean =>
  s.mod[i] !== anything && s.lo[i]! >= -largestTerm && s.hi[i]! <= largestTerm;

export const newSlots = (isBits: Uint8Array): Slots => ({
  lo: new Float64Array(isBits.length),
  hi: new Float64Array(isBits.length),
  mod: new Float64Array(isBits.length),
  rem: new Float64Array(isBits.length),
  isBits,
  unknown: new Int32Array(isBits.length),
  known: new Int32Array(isBits.length),
});

export function gcd(a: number, b: number): number {
  if (a === 1 || b === 1) return 1;
  let x = Math.abs(a);
  let y = Math.abs(b);
  if (x === 0) return y;
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** Residue in [0, m) for positive m. */
export const residue = (value: number, m: number): number => {
  const r = value % m;
  return r < 0 ? r + m : r + 0;
};

export function setAnything(s: Slots, i: number) {
  s.lo[i] = Number.NEGATIVE_INFINITY;
  s.hi[i] = Number.POSITIVE_INFINITY;
  s.mod[i] = anything;
}

export function setReal(s: Slots, i: number, lo: number, hi: number) {
  if (!(lo > Number.NEGATIVE_INFINITY && hi < Number.POSITIVE_INFINITY)) return setAnything(s, i);
  s.lo[i] = lo;
  s.hi[i] = hi;
  s.mod[i] = lo === hi ? 0 : real;
  s.rem[i] = lo;
}

/** An integer in [lo, hi] ≡ r (mod m), m ≥ 0; the bounds are tightened to the congruence. */
export function setInteger(s: Slots, i: number, lo: number, hi: number, m: number, r: number) {
  if (!(lo > -largestExact && hi < largestExact)) return setAnything(s, i);
  let [low, high] = [lo, hi];
  if (m > 1 && low !== high) {
    const rest = residue(r, m);
    low += residue(rest - low, m);
    high -= residue(high - rest, m);
    s.rem[i] = rest;
  } else s.rem[i] = m > 1 ? residue(r, m) : m === 0 ? r : 0;
  s.lo[i] = low;
  s.hi[i] = high;
  s.mod[i] = low === high ? 0 : m === 0 ? 1 : m;
  if (low === high) s.rem[i] = low;
}

/** A truth: 0, 1, or not decided. */
export function setTruth(s: Slots, i: number, canBeFalse: boolean, canBeTrue: boolean): void {
  s.lo[i] = canBeFalse ? 0 : 1;
  s.hi[i] = canBeTrue ? 1 : 0;
  s.mod[i] = canBeFalse && canBeTrue ? 1 : 0;
  s.rem[i] = canBeFalse ? 0 : 1;
}

export const canBeZero = (s: Slots, i: number): boolean =>
  s.mod[i] === anything || (s.lo[i]! <= 0 && s.hi[i]! >= 0 && !(s.mod[i]! > 1 && s.rem[i] !== 0));

export const canBeOther = (s: Slots, i: number): boolean => s.mod[i] === anything || !(s.lo[i] === 0 && s.hi[i] === 0);
