// IEEE 754 binary16 and bfloat16. Every conversion from a wider number rounds once, to nearest, ties to even:
// going through float32 first would round twice and miss the tie by one unit.

const wideView = new Float64Array(1);
const wideBits = new Uint32Array(wideView.buffer);
// Index of the word that holds sign and exponent of a float64 on this machine.
const highWord = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** Value of a binary16 bit pattern. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Value of a bfloat16 bit pattern. */
export function bfloat16ToNumber(bits: number): number {
  bitsView[0] = bits << 16;
  return floatView[0]!;
}

interface Narrow {
  readonly fractionBits: number;
  readonly minExponent: number;
  readonly maxExponent: number;
  /** `2^(fractionBits - e)` for each exponent `e` from `minExponent` on. */
  readonly scales: Float64Array<ArrayBuffer>;
}

const narrow = (fractionBits: number, minExponent: number, maxExponent: number): Narrow => ({
  fractionBits,
  minExponent,
  maxExponent,
  scales: Float64Array.from({ length: maxExponent - minExponent + 1 }, (_, i) => 2 ** (fractionBits - minExponent - i)),
});

const half = narrow(10, -14, 15);
const brain = narrow(7, -126, 127);

// Adding and taking away 2^52 leaves the nearest integer, ties to even, of anything in [0, 2^52).
const integerMagic = 2 ** 52;

function round(value: number, format: Narrow): number {
  wideView[0] = value;
  const high = wideBits[highWord]!;
  const sign = (high >>> 31) << 15;
  const exponent = Math.max(((high >>> 20) & 0x7ff) - 1023, format.minExponent);
  const infinity = (format.maxExponent - format.minExponent + 2) << format.fractionBits;
  if (exponent > format.maxExponent) return Number.isNaN(value) ? -1 : sign | infinity;
  const scaled = Math.abs(value) * format.scales[exponent - format.minExponent]!;
  const significand = scaled + integerMagic - integerMagic;
  // The significand's leading one adds the last 1 to the exponent field; a subnormal has none and stays at field 0;
  // one that rounds up to the next power of two carries, past the largest finite value into infinity.
  return sign | (((exponent - format.minExponent) << format.fractionBits) + significand);
}

/** Nearest binary16 bit pattern; beyond ±65520 it is an infinity, any NaN is 0x7e00. */
export function numberToFloat16(value: number): number {
  const bits = round(value, half);
  return bits < 0 ? 0x7e00 : bits;
}

/** Nearest bfloat16 bit pattern; any NaN is 0x7fc0. */
export function numberToBfloat16(value: number): number {
  const bits = round(value, brain);
  return bits < 0 ? 0x7fc0 : bits;
}

let float16Table: Float32Array<ArrayBuffer> | undefined;

const float16Values = (): Float32Array<ArrayBuffer> => {
  float16Table ??= Float32Array.from({ length: 0x10000 }, (_, bits) => float16ToNumber(bits));
  return float16Table;
};

/** Binary16 bit patterns as float32 values, exact. */
export function widenFloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const table = float16Values();
  const out = new Float32Array(bits.length);
  for (let i = 0; i < out.length; i++) out[i] = table[bits[i]!]!;
  return out;
}

/** Bfloat16 bit patterns as float32 values, exact. */
export function widenBfloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < out.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}
