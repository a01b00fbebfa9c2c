import { anything, type Slots, setAnything, setInteger } from "./slots.ts";

export type BitFn = "bitAnd" | "bitOr" | "bitXor" | "bitNot" | "shiftLeft" | "shiftRight" | "shiftRightUnsigned";

/** Bits of an operand, written here by `bitsOf`. */
const bits = { unknown: 0, known: 0 };

/** What is known of the 32 bits of slot `x` as bit operators see it (truncated, modulo 2³²). */
function bitsOf(s: Slots, x: number): void {
  bits.unknown = -1;
  bits.known = 0;
  if (s.isBits[x] === 1 && s.mod[x] !== anything) {
    bits.unknown = s.unknown[x]!;
    bits.known = s.known[x]!;
  }
  const lo = Math.trunc(s.lo[x]!);
  const hi = Math.trunc(s.hi[x]!);
  if (s.mod[x] === anything || lo < -(2 ** 31) || hi >= 2 ** 31) return;
  // Equal leading bits of both bounds are those of all between.
  const differ = lo ^ hi;
  const leading = Math.clz32(differ);
  let unknown = differ === 0 ? 0 : -1 >>> leading;
  let known = lo & ~unknown;
  const power = s.mod[x]! > 1 ? s.mod[x]! & -s.mod[x]! : 1;
  if (power > 1 && unknown !== 0) {
    known |= s.rem[x]! & (power - 1) & unknown;
    unknown &= ~(power - 1);
  }
  bits.known |= known & bits.unknown;
  bits.unknown &= unknown;
}

/** Sets what is known of the bits of slot `i`, whose value is one of [lo, hi]. */
export function setKnownBits(s: Slots, i: number, known: number, unknown: number, lo: number, hi: number) {
  s.known[i] = known;
  s.unknown[i] = unknown;
  const least = Math.max(lo, known | (unknown & 0x80000000) | 0);
  const greatest = Math.min(hi, known | (unknown & 0x7fffffff));
  if (unknown === 0) return setInteger(s, i, known, known, 0, known);
  const power = Math.min(unknown & -unknown, 2 ** 30);
  const m = power > 0 ? power : 1;
  setInteger(s, i, least, greatest, m, known & (m - 1));
}

/** Bit operators on known bits, with JavaScript's truncation to 32 bits. */
export function setBits(fn: BitFn): (s: Slots, i: number, x: number, y: number) => void {
  const { NEGATIVE_INFINITY: least, POSITIVE_INFINITY: greatest } = Number;
  return (s, i, x, y) => {
    bitsOf(s, x);
    const { unknown: u, known: v } = bits;
    if (fn === "bitNot") return setKnownBits(s, i, ~(v | u), u, least, greatest);
    bitsOf(s, y);
    const { unknown: t, known: w } = bits;
    if (fn === "bitXor") return setKnownBits(s, i, (v ^ w) & ~(u | t), u | t, least, greatest);
    if (fn === "bitAnd") {
      const ones = v & w;
      return setKnownBits(s, i, ones, (v | u) & (w | t) & ~ones, least, greatest);
    }
    if (fn === "bitOr") {
      const ones = v | w;
      // `x | 0` is truncation: bounds pass through.
      const whole = t === 0 && w === 0 && fits(s, x);
      const [lo, hi] = whole ? [Math.trunc(s.lo[x]!), Math.trunc(s.hi[x]!)] : [least, greatest];
      return setKnownBits(s, i, ones, (u | t) & ~ones, lo, hi);
    }
    if (t !== 0) return setUnknown(s, i, fn);
    if (fn === "shiftLeft") return setKnownBits(s, i, v << w, u << w, least, greatest);
    if (fn === "shiftRight") {
      const [lo, hi] = fits(s, x) ? [s.lo[x]! >> w, s.hi[x]! >> w] : [least, greatest];
      return setKnownBits(s, i, v >> w, u >> w, lo, hi);
    }
    if ((v | u) >>> w > 0x7fffffff) return setUnknown(s, i, fn);
    setKnownBits(s, i, v >>> w, u >>> w, least, greatest);
  };
}

const fits = (s: Slots, x: number) => s.mod[x] !== anything && s.lo[x]! > -(2 ** 31) && s.hi[x]! < 2 ** 31;

function setUnknown(s: Slots, i: number, fn: BitFn) {
  if (fn === "shiftRightUnsigned") return setAnything(s, i);
  setKnownBits(s, i, 0, -1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
}

/** The number in (first, end) that the highest power of two divides. */
export function roundest(first: number, end: number): number {
  const last = end - 1;
  return last & (-1 << (31 - Math.clz32(first ^ last)));
}
