import type { DType } from "./dtype.ts";

/** Bits of the significand, the leading one among them, and the exponent of the least normal number (IEEE 754-2019). */
const formats: Readonly<Record<string, readonly [precision: number, least: number]>> = {
  f64: [53, -1022],
  f32: [24, -126],
  f16: [11, -14],
  bf16: [8, -126],
};

/** The unit in the last place: the distance between neighbouring numbers of a type around x; 1 for integers and bools. */
export function ulp(x: number, dtype: DType): number {
  const format = formats[dtype];
  if (!format) return 1;
  const [precision, least] = format;
  return 2 ** (Math.max(exponentOf(Math.abs(x)), least) - precision + 1);
}

/** The greatest e with 2^e ≤ x. The logarithm alone may be off by one next to powers of two. */
function exponentOf(x: number): number {
  if (x === 0) return Number.NEGATIVE_INFINITY;
  const near = Math.floor(Math.log2(x));
  if (2 ** near > x) return near - 1;
  return 2 ** (near + 1) <= x ? near + 1 : near;
}

/**
 * The largest |actual − expected| in units in the last place of `dtype` at the expected value. An element much smaller
 * than its neighbours came out of cancellation, and its own unit says nothing: none is taken smaller than that at the
 * root mean square of the finite expected values. Where NaN is expected nothing is measured; NaN where one comes
 * elsewhere, or infinities are not in the same places.
 */
export function maxUlpError(expected: ArrayLike<number>, actual: ArrayLike<number>, dtype: DType): number {
  const usual = ulp(rootMeanSquare(expected) || 1, dtype);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (a === b || Number.isNaN(b)) continue;
    const error = Math.abs(a - b);
    if (!Number.isFinite(error)) return Number.NaN;
    worst = Math.max(worst, error / Math.max(ulp(b, dtype), usual));
  }
  return worst;
}

/** Of the finite values; through the largest, so that no square overflows. */
function rootMeanSquare(values: ArrayLike<number>): number {
  const finite = Array.from(values).filter(Number.isFinite);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  return largest * Math.sqrt(finite.reduce((sum, value) => sum + (value / largest) ** 2, 0) / finite.length);
}
