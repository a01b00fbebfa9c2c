import { invariant } from "../diagnostics.ts";
import type { Value } from "../graph.ts";
import type { Emit } from "../op-def.ts";
import { type Bounds, bitsOf, isNatural } from "./bounds.ts";
import type { IndexFn } from "./functions.ts";
import type { IndexExpr } from "./types.ts";

const word = 2 ** 32;

/** One side of a bit operation. */
export interface BitOperand {
  readonly value: Value;
  readonly expr: IndexExpr;
  readonly bounds: Bounds;
}

/**
 * Bit operations of JavaScript on numbers held as f64: both sides become 32-bit integers first, unless they are known to
 * be. Products with powers of two and remainders by them are exact in f64.
 */
export function bitwise(b: Emit, fn: IndexFn, x: BitOperand, y: BitOperand | undefined): Value {
  if (fn === "bitNot") return b.sub(number(b, -1), signed(b, x));
  invariant(y !== undefined, `${fn} takes two numbers`);
  switch (fn) {
    case "bitAnd":
      return bitAnd(b, x, y);
    case "bitOr":
    case "bitXor":
      return joined(b, fn, x, y);
    case "shiftLeft": {
      const product = b.mul(unsigned(b, x), power(b, y));
      const stays = isNatural(x.bounds) && y.bounds.low >= 0 && x.bounds.high * 2 ** y.bounds.high < 2 ** 31;
      return stays ? product : wrapped(b, modulo(b, product, word));
    }
    case "shiftRight":
      return b.floor(b.div(signed(b, x), power(b, y)));
    case "shiftRightUnsigned":
      return b.floor(b.div(unsigned(b, x), power(b, y)));
    default:
      return invariant(false, `${fn} has no tensors`) as never;
  }
}

function bitAnd(b: Emit, x: BitOperand, y: BitOperand): Value {
  const [of, mask] =
    y.expr.kind === "number" ? [x, y.expr.value] : [y, x.expr.kind === "number" ? x.expr.value : undefined];
  const bits = mask === undefined ? both(b, x, y) : masked(b, unsigned(b, of), mask);
  // What one side lacks the result lacks: the sign too.
  return [x, y].some(({ bounds }) => isNatural(bounds)) ? bits : wrapped(b, bits);
}

/** x | y, and x ^ y. */
function joined(b: Emit, fn: "bitOr" | "bitXor", x: BitOperand, y: BitOperand): Value {
  const total = b.add(unsigned(b, x), unsigned(b, y));
  const natural = isNatural(x.bounds) && isNatural(y.bounds);
  const below = (operand: BitOperand, zeros: number) => operand.bounds.high < 2 ** zeros;
  if (natural && (below(x, zerosOf(y.expr)) || below(y, zerosOf(x.expr)))) return total;
  const shared = both(b, x, y);
  const bits = b.sub(total, fn === "bitOr" ? shared : b.mul(number(b, 2), shared));
  return natural ? bits : wrapped(b, bits);
}

/** How many of the lowest bits are 0 because of what an expression is. */
function zerosOf(expr: IndexExpr): number {
  let zeros = known.get(expr);
  if (zeros === undefined) known.set(expr, (zeros = ownZeros(expr)));
  return zeros;
}

const known = new WeakMap<IndexExpr, number>();

function ownZeros(expr: IndexExpr): number {
  if (expr.kind === "number") return Number.isInteger(expr.value) && expr.value > 0 ? ctz(expr.value) : 0;
  if (expr.kind !== "apply") return 0;
  const [x, shift] = expr.args;
  if (expr.fn === "bitOr") return Math.min(...expr.args.map(zerosOf));
  if (expr.fn !== "shiftLeft" || shift?.kind !== "number") return 0;
  return (shift.value & 31) + zerosOf(x!);
}

const ctz = (x: number): number => 31 - Math.clz32(x & -x);

const number = (b: Emit, value: number) => b.scalar(value, "f64");
/** Remainder from 0 up, as IR's `mod` has it. */
const modulo = (b: Emit, x: Value, by: number) => b.mod(x, number(b, by));

/** ToUint32: without its fraction, modulo 2³². */
function unsigned(b: Emit, { value, bounds }: BitOperand): Value {
  if (isNatural(bounds)) return bounds.whole ? value : b.floor(value);
  const whole = bounds.whole ? value : b.select(b.less(value, number(b, 0)), b.ceil(value), b.floor(value));
  return modulo(b, whole, word);
}

/** ToInt32. */
const signed = (b: Emit, x: BitOperand) => (isNatural(x.bounds) ? unsigned(b, x) : wrapped(b, unsigned(b, x)));

/** The 32-bit integer with these bits. */
const wrapped = (b: Emit, x: Value) => b.select(b.less(x, number(b, word / 2)), x, b.sub(x, number(b, word)));

/** 2 to the lowest five bits of the shift. */
const power = (b: Emit, shift: BitOperand) =>
  shift.expr.kind === "number"
    ? number(b, 2 ** (shift.expr.value & 31))
    : b.pow(number(b, 2), modulo(b, unsigned(b, shift), 32));

/** The bits of `x` that `mask` has, as the sum of what each run of ones keeps. */
function masked(b: Emit, x: Value, mask: number): Value {
  const bits = mask >>> 0;
  let sum: Value | undefined;
  for (let low = 0; low < 32; low++) {
    if (!hasBit(bits, low)) continue;
    let high = low;
    while (high < 32 && hasBit(bits, high)) high++;
    const upper = modulo(b, x, 2 ** high);
    const run = low === 0 ? upper : b.sub(upper, modulo(b, x, 2 ** low));
    sum = sum ? b.add(sum, run) : run;
    low = high;
  }
  return sum ?? number(b, 0);
}

const hasBit = (bits: number, i: number) => Math.floor(bits / 2 ** i) % 2 === 1;

/** Bits that both have, one after the other. */
function both(b: Emit, x: BitOperand, y: BitOperand): Value {
  const [left, right] = [unsigned(b, x), unsigned(b, y)];
  const widths = [x, y].map(({ bounds }) => (isNatural(bounds) ? bitsOf(bounds.high) : 32));
  let sum: Value | undefined;
  for (let i = 0; i < Math.min(...widths); i++) {
    const bit = (value: Value) => modulo(b, b.floor(b.div(value, number(b, 2 ** i))), 2);
    const part = b.mul(b.mul(bit(left), bit(right)), number(b, 2 ** i));
    sum = sum ? b.add(sum, part) : part;
  }
  return sum ?? b.mul(b.add(left, right), number(b, 0));
}
