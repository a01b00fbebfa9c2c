import { type IndexFn, indexFunctions } from "../index-expr/functions.ts";
import { setBits } from "./bits.ts";
import {
  anything,
  canBeOther,
  canBeZero,
  gcd,
  residue,
  type Slots,
  setAnything,
  setInteger,
  setReal,
  setTruth,
} from "./slots.ts";

/** Computes slot `i` from the slots `x`, `y`, `z` of the arguments. */
export type Transfer = (s: Slots, i: number, x: number, y: number, z: number) => void;

const unknownTruth = (s: Slots, i: number) => setTruth(s, i, true, true);
const isInteger = (s: Slots, i: number) => s.mod[i]! >= 1 || (s.mod[i] === 0 && Number.isInteger(s.lo[i]!));
const modulus = (s: Slots, i: number) => s.mod[i]!;
const top = (s: Slots, ...args: readonly number[]) => args.some((arg) => s.mod[arg] === anything);

function setBounds(s: Slots, i: number, lo: number, hi: number, integer: boolean) {
  if (integer) setInteger(s, i, lo, hi, 1, 0);
  else setReal(s, i, lo, hi);
}

const sumOf =
  (sign: 1 | -1): Transfer =>
  (s, i, x, y) => {
    if (top(s, x, y)) return setAnything(s, i);
    const lo = sign === 1 ? s.lo[x]! + s.lo[y]! : s.lo[x]! - s.hi[y]!;
    const hi = sign === 1 ? s.hi[x]! + s.hi[y]! : s.hi[x]! - s.lo[y]!;
    if (!isInteger(s, x) || !isInteger(s, y)) return setReal(s, i, lo, hi);
    setInteger(s, i, lo, hi, gcd(modulus(s, x), modulus(s, y)), s.rem[x]! + sign * s.rem[y]!);
  };

const product: Transfer = (s, i, x, y) => {
  if (top(s, x, y)) return setAnything(s, i);
  const [a, b, c, d] = [s.lo[x]! * s.lo[y]!, s.lo[x]! * s.hi[y]!, s.hi[x]! * s.lo[y]!, s.hi[x]! * s.hi[y]!];
  const [lo, hi] = [Math.min(a, b, c, d), Math.max(a, b, c, d)];
  if (!isInteger(s, x) || !isInteger(s, y)) return setReal(s, i, lo, hi);
  const [m, n] = [modulus(s, x), modulus(s, y)];
  // (am + r)(bn + t) ≡ rt modulo gcd(mn, mt, nr).
  const g = gcd(gcd(m * n, m * s.rem[y]!), n * s.rem[x]!);
  if (g > 2 ** 26) return setInteger(s, i, lo, hi, 1, 0);
  setInteger(s, i, lo, hi, g, s.rem[x]! * s.rem[y]!);
};

const quotient: Transfer = (s, i, x, y) => {
  if (top(s, x, y) || canBeZero(s, y) || (s.lo[y]! < 0 && s.hi[y]! > 0)) return setAnything(s, i);
  const [a, b, c, d] = [s.lo[x]! / s.lo[y]!, s.lo[x]! / s.hi[y]!, s.hi[x]! / s.lo[y]!, s.hi[x]! / s.hi[y]!];
  setReal(s, i, Math.min(a, b, c, d), Math.max(a, b, c, d));
};

const remainder: Transfer = (s, i, x, y) => {
  if (top(s, x, y) || s.mod[y] !== 0 || s.lo[y] === 0) return setAnything(s, i);
  const n = Math.abs(s.lo[y]!);
  const [lo, hi] = [s.lo[x]!, s.hi[x]!];
  const integer = isInteger(s, x) && Number.isInteger(n);
  const onePeriod = (lo >= 0 || hi <= 0) && Math.trunc(lo / n) === Math.trunc(hi / n) && lo % n <= hi % n;
  // Of reals the remainder of a quotient near an integer may lie on its other side.
  if (onePeriod && (integer || Math.abs(lo / n) < 1)) {
    if (!integer) return setReal(s, i, lo, hi);
    return setInteger(s, i, lo % n, hi % n, gcd(modulus(s, x), n), s.rem[x]!);
  }
  const least = lo >= 0 ? 0 : Math.max(lo, integer ? 1 - n : -n);
  const greatest = hi <= 0 ? 0 : Math.min(hi, integer ? n - 1 : n);
  if (!integer) return setReal(s, i, least, greatest);
  setInteger(s, i, least, greatest, gcd(modulus(s, x), n), s.rem[x]!);
};

const rising =
  (evaluate: (x: number) => number, integer: boolean): Transfer =>
  (s, i, x) => {
    if (top(s, x)) return setAnything(s, i);
    if (integer && isInteger(s, x) && evaluate !== Math.sign)
      return setInteger(s, i, s.lo[x]!, s.hi[x]!, s.mod[x]!, s.rem[x]!);
    setBounds(s, i, evaluate(s.lo[x]!), evaluate(s.hi[x]!), integer);
  };

/** Functions that engines round as they like: exact on one value, else widened by a few units in the last place. */
const roughly =
  (evaluate: (x: number) => number, domain = Number.NEGATIVE_INFINITY): Transfer =>
  (s, i, x) => {
    if (top(s, x) || s.lo[x]! < domain) return setAnything(s, i);
    const [lo, hi] = [evaluate(s.lo[x]!), evaluate(s.hi[x]!)];
    if (s.lo[x] === s.hi[x]) return setReal(s, i, lo, hi);
    const slack = 1e-14;
    setReal(s, i, lo - slack * (Math.abs(lo) + 1e-300), hi + slack * (Math.abs(hi) + 1e-300));
  };

const wave =
  (evaluate: (x: number) => number): Transfer =>
  (s, i, x) => {
    if (top(s, x)) return setAnything(s, i);
    if (s.lo[x] === s.hi[x]) return setReal(s, i, evaluate(s.lo[x]!), evaluate(s.lo[x]!));
    setReal(s, i, -1, 1);
  };

/** √(x² + y²): it rises with the magnitude of either side. */
const roughLength: Transfer = (s, i, x, y) => {
  if (top(s, x, y)) return setAnything(s, i);
  const least = (slot: number) => Math.max(0, s.lo[slot]!, -s.hi[slot]!);
  const most = (slot: number) => Math.max(Math.abs(s.lo[slot]!), Math.abs(s.hi[slot]!));
  const [lo, hi] = [Math.hypot(least(x), least(y)), Math.hypot(most(x), most(y))];
  const exact = s.lo[x] === s.hi[x] && s.lo[y] === s.hi[y];
  setReal(s, i, exact ? lo : lo * (1 - 1e-14), exact ? hi : hi * (1 + 1e-14));
};

const unknownNumber: Transfer = (s, i) => setAnything(s, i);

const power: Transfer = (s, i, x, y) => {
  if (top(s, x, y) || s.mod[x] !== 0 || s.mod[y] !== 0) return setAnything(s, i);
  setReal(s, i, s.lo[x]! ** s.lo[y]!, s.lo[x]! ** s.lo[y]!);
};

const extreme =
  (pick: (a: number, b: number) => number): Transfer =>
  (s, i, x, y) => {
    if (top(s, x, y)) return setAnything(s, i);
    const [lo, hi] = [pick(s.lo[x]!, s.lo[y]!), pick(s.hi[x]!, s.hi[y]!)];
    if (!isInteger(s, x) || !isInteger(s, y)) return setReal(s, i, lo, hi);
    const m = gcd(gcd(modulus(s, x), modulus(s, y)), s.rem[x]! - s.rem[y]!);
    setInteger(s, i, lo, hi, m, s.rem[x]!);
  };

const negation: Transfer = (s, i, x) => {
  if (top(s, x)) return setAnything(s, i);
  if (!isInteger(s, x)) return setReal(s, i, -s.hi[x]!, -s.lo[x]!);
  setInteger(s, i, -s.hi[x]!, -s.lo[x]!, s.mod[x]!, -s.rem[x]!);
};

const magnitude: Transfer = (s, i, x) => {
  if (top(s, x)) return setAnything(s, i);
  const [lo, hi, m, r] = [s.lo[x]!, s.hi[x]!, s.mod[x]!, s.rem[x]!];
  if (hi <= 0) return negation(s, i, x, 0, 0);
  if (!isInteger(s, x)) return setReal(s, i, Math.max(lo, 0), Math.max(-lo, hi));
  if (lo >= 0) return setInteger(s, i, lo, hi, m, r);
  // Both r and -r are residues: they agree modulo gcd(m, 2r).
  setInteger(s, i, 0, Math.max(-lo, hi), gcd(m, 2 * r), r);
};

/** What the sign of x - y says of a comparison. */
export const comparisons = {
  less: (s, i, lo, hi) => setTruth(s, i, hi >= 0, lo < 0),
  lessEqual: (s, i, lo, hi) => setTruth(s, i, hi > 0, lo <= 0),
  greater: (s, i, lo, hi) => setTruth(s, i, lo <= 0, hi > 0),
  greaterEqual: (s, i, lo, hi) => setTruth(s, i, lo < 0, hi >= 0),
  equal: (s, i, lo, hi) => setTruth(s, i, lo !== 0 || hi !== 0, lo <= 0 && hi >= 0),
  notEqual: (s, i, lo, hi) => setTruth(s, i, lo <= 0 && hi >= 0, lo !== 0 || hi !== 0),
} as const satisfies Partial<Record<IndexFn, (s: Slots, i: number, lo: number, hi: number) => void>>;

/** Compares bounds; the difference itself may round to 0, so only its sign is taken. */
const compared =
  (decide: (typeof comparisons)[keyof typeof comparisons]): Transfer =>
  (s, i, x, y) => {
    if (top(s, x, y)) return unknownTruth(s, i);
    let lo = Math.sign(s.lo[x]! > s.hi[y]! ? 1 : s.lo[x]! === s.hi[y]! ? 0 : -1);
    const hi = s.hi[x]! < s.lo[y]! ? -1 : s.hi[x]! === s.lo[y]! ? 0 : 1;
    if (isInteger(s, x) && isInteger(s, y) && lo < 0 && hi > 0) {
      const m = gcd(modulus(s, x), modulus(s, y));
      // Never equal: for equality the sign is not 0.
      if (
        m > 1 &&
        residue(s.rem[x]! - s.rem[y]!, m) !== 0 &&
        (decide === comparisons.equal || decide === comparisons.notEqual)
      )
        lo = 1;
    }
    decide(s, i, lo, hi);
  };

const choice: Transfer = (s, i, c, x, y) => {
  const [yes, no] = [canBeOther(s, c), canBeZero(s, c)];
  if (yes && no) {
    if (top(s, x, y)) return setAnything(s, i);
    const [lo, hi] = [Math.min(s.lo[x]!, s.lo[y]!), Math.max(s.hi[x]!, s.hi[y]!)];
    if (!isInteger(s, x) || !isInteger(s, y)) return setReal(s, i, lo, hi);
    return setInteger(s, i, lo, hi, gcd(gcd(modulus(s, x), modulus(s, y)), s.rem[x]! - s.rem[y]!), s.rem[x]!);
  }
  const from = yes ? x : y;
  s.lo[i] = s.lo[from]!;
  s.hi[i] = s.hi[from]!;
  s.mod[i] = s.mod[from]!;
  s.rem[i] = s.rem[from]!;
};

const exactly = (fn: IndexFn) => indexFunctions[fn].evaluate as (x: number) => number;

/** The abstract meaning of every function. */
export const transfers: Readonly<Record<IndexFn, Transfer>> = {
  add: sumOf(1),
  sub: sumOf(-1),
  mul: product,
  div: quotient,
  mod: remainder,
  pow: power,
  neg: negation,
  min: extreme(Math.min),
  max: extreme(Math.max),
  abs: magnitude,
  floor: rising(Math.floor, true),
  ceil: rising(Math.ceil, true),
  round: rising(Math.round, true),
  trunc: rising(Math.trunc, true),
  sign: rising(Math.sign, true),
  sqrt: roughly(exactly("sqrt"), 0),
  exp: roughly(exactly("exp")),
  log: roughly(exactly("log"), Number.MIN_VALUE),
  log2: roughly(exactly("log2"), Number.MIN_VALUE),
  tanh: roughly(exactly("tanh")),
  cbrt: roughly(exactly("cbrt")),
  expm1: roughly(exactly("expm1")),
  log10: roughly(exactly("log10"), Number.MIN_VALUE),
  log1p: roughly(exactly("log1p"), -1 + Number.EPSILON),
  atan: roughly(exactly("atan")),
  sinh: roughly(exactly("sinh")),
  asinh: roughly(exactly("asinh")),
  acosh: roughly(exactly("acosh"), 1),
  hypot: roughLength,
  fround: rising(exactly("fround"), false),
  tan: unknownNumber,
  asin: unknownNumber,
  acos: unknownNumber,
  atan2: unknownNumber,
  cosh: unknownNumber,
  atanh: unknownNumber,
  sin: wave(exactly("sin")),
  cos: wave(exactly("cos")),
  bitAnd: setBits("bitAnd"),
  bitOr: setBits("bitOr"),
  bitXor: setBits("bitXor"),
  bitNot: setBits("bitNot"),
  shiftLeft: setBits("shiftLeft"),
  shiftRight: setBits("shiftRight"),
  shiftRightUnsigned: setBits("shiftRightUnsigned"),
  equal: compared(comparisons.equal),
  notEqual: compared(comparisons.notEqual),
  less: compared(comparisons.less),
  lessEqual: compared(comparisons.lessEqual),
  greater: compared(comparisons.greater),
  greaterEqual: compared(comparisons.greaterEqual),
  and: (s, i, x, y) => setTruth(s, i, canBeZero(s, x) || canBeZero(s, y), canBeOther(s, x) && canBeOther(s, y)),
  or: (s, i, x, y) => setTruth(s, i, canBeZero(s, x) && canBeZero(s, y), canBeOther(s, x) || canBeOther(s, y)),
  not: (s, i, x) => setTruth(s, i, canBeOther(s, x), canBeZero(s, x)),
  select: choice,
};
