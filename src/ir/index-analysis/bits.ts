import { anything, type Slots, setAnything, setInteger } from "./slots.ts";

export type BitFn = "bitAnd" | "bitOr" | "bitXor" | "bitNot" | "shiftLeft" | "shiftRight" | "shiftRightUnsigned";

/** Bits of an operand, written here by `bitsOf`. */
const bits = { unknown: 0, known: 0 };

/** What is known of the 32 bits of slot `x` as bit operators see it (truncated, modulo 2³²). */
function bitsOf(s: Slots, x: number, madeByBits: boolean): void {
  bits.unknown = -1;
  bits.known = 0;
  if (madeByBits && s.mod[x] !== anything) {
    bits.unknown = s.unknown[x]!;
    bits.known = s.known[x]!;
  }
  const [lo, hi] = [Math.trunc(s.lo[x]!), Math.trunc(s.hi[x]!)];
  if (s.mod[x] === anything || lo < -(2 ** 31) || hi >= 2 ** 31) return;
  // Equal leading bits of both bounds are those of all between.
  const differ = lo ^ hi;
  const leading = Math.clz32(differ);
  let unknown = differ === 0 ? 0 : leading === 0 ? -1 : 2 ** (32 - leading) - 1;
  let known = lo & ~unknown;
  const power = s.mod[x]! > 1 ? s.mod[x]! & -s.mod[x]! : 1;
  if (power > 1 && unknown !== 0) {
    known |= s.rem[x]! & (power - 1) & unknown;
    unknown &= ~(power - 1);
  }
  bits.known |= known & bits.unknown;
  bits.unknown &= unknown;
}

/** The integers between the bounds that the known bits allow, cut to [lo, hi]. */
function store(s: Slots, i: number, known: number, unknown: number, lo: number, hi: number) {
  s.known[i] = known;
  s.unknown[i] = unknown;
  const least = Math.max(lo, known | (unknown & 0x80000000) | 0);
  const greatest = Math.min(hi, known | (unknown & 0x7fffffff));
  if (unknown === 0) return setInteger(s, i, known, known, 0, known);
  const power = Math.min(unknown & -unknown, 2 ** 30);
  const m = power > 0 ? power : 1;
  setInteger(s, i, least, greatest, m, known & (m - 1));
}

const isBitOp = new WeakMap<Slots, Uint8Array>();

/** Marks the slots that hold results of bit operations, whose `known` and `unknown` are kept. */
export const markBits = (s: Slots, made: Uint8Array): void => void isBitOp.set(s, made);

/** Bit operators on known bits, with JavaScript's truncation to 32 bits. */
export function setBits(fn: BitFn): (s: Slots, i: number, x: number, y: number) => void {
  const { NEGATIVE_INFINITY: least, POSITIVE_INFINITY: greatest } = Number;
  return (s, i, x, y) => {
    const made = isBitOp.get(s)!;
    bitsOf(s, x, made[x] === 1);
    const { unknown: u, known: v } = bits;
    if (fn === "bitNot") return store(s, i, ~(v | u), u, least, greatest);
    bitsOf(s, y, made[y] === 1);
    const { unknown: t, known: w } = bits;
    if (fn === "bitXor") return store(s, i, (v ^ w) & ~(u | t), u | t, least, greatest);
    if (fn === "bitAnd") {
      const ones = v & w;
      return store(s, i, ones, (v | u) & (w | t) & ~ones, least, greatest);
    }
    if (fn === "bitOr") {
      const ones = v | w;
      // `x | 0` is truncation: bounds pass through.
      const whole = t === 0 && w === 0 && fits(s, x);
      const [lo, hi] = whole ? [Math.trunc(s.lo[x]!), Math.trunc(s.hi[x]!)] : [least, greatest];
      return store(s, i, ones, (u | t) & ~ones, lo, hi);
    }
    if (t !== 0) return setUnknown(s, i, fn);
    if (fn === "shiftLeft") return store(s, i, v << w, u << w, least, greatest);
    if (fn === "shiftRight") {
      const [lo, hi] = fits(s, x) ? [s.lo[x]! >> w, s.hi[x]! >> w] : [least, greatest];
      return store(s, i, v >> w, u >> w, lo, hi);
    }
    if ((v | u) >>> w > 0x7fffffff) return setUnknown(s, i, fn);
    store(s, i, v >>> w, u >>> w, least, greatest);
  };
}

const fits = (s: Slots, x: number) => s.mod[x] !== anything && s.lo[x]! > -(2 ** 31) && s.hi[x]! < 2 ** 31;

function setUnknown(s: Slots, i: number, fn: BitFn) {
  if (fn === "shiftRightUnsigned") return setAnything(s, i);
  store(s, i, 0, -1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
}
