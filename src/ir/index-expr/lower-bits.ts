import { invariant } from "../diagnostics.ts";
import type { Value } from "../graph.ts";
import type { Emit } from "../op-def.ts";
import type { IndexFn } from "./functions.ts";
import type { IndexExpr } from "./types.ts";

const word = 2 ** 32;

export const bitFunctions: ReadonlySet<IndexFn> = new Set<IndexFn>([
  "bitAnd",
  "bitOr",
  "bitXor",
  "bitNot",
  "shiftLeft",
  "shiftRight",
  "shiftRightUnsigned",
]);

/**
 * Bit operations of JavaScript on numbers held as f64: both sides become 32-bit integers first. Products with powers of
 * two and remainders by them are exact in f64.
 */
export function bitwise(b: Emit, fn: IndexFn, values: readonly Value[], args: readonly IndexExpr[]): Value {
  const [x, y] = values as readonly [Value, Value];
  const [left, right] = args;
  switch (fn) {
    case "bitNot":
      return b.sub(number(b, -1), signed(b, unsigned(b, x)));
    case "bitAnd":
      if (right?.kind === "number") return signed(b, masked(b, unsigned(b, x), right.value));
      if (left?.kind === "number") return signed(b, masked(b, unsigned(b, y), left.value));
      return signed(b, both(b, unsigned(b, x), unsigned(b, y)));
    case "bitOr": {
      const [p, q] = [unsigned(b, x), unsigned(b, y)];
      return signed(b, b.sub(b.add(p, q), both(b, p, q)));
    }
    case "bitXor": {
      const [p, q] = [unsigned(b, x), unsigned(b, y)];
      return signed(b, b.sub(b.add(p, q), b.mul(number(b, 2), both(b, p, q))));
    }
    case "shiftLeft":
      return signed(b, unsigned(b, b.mul(unsigned(b, x), power(b, y))));
    case "shiftRight":
      return b.floor(b.div(signed(b, unsigned(b, x)), power(b, y)));
    case "shiftRightUnsigned":
      return b.floor(b.div(unsigned(b, x), power(b, y)));
    default:
      return invariant(false, `${fn} has no tensors`) as never;
  }
}

const number = (b: Emit, value: number) => b.scalar(value, "f64");
/** Remainder from 0 up, as IR's `mod` has it. */
const modulo = (b: Emit, x: Value, by: number) => b.mod(x, number(b, by));

/** ToUint32: without its fraction, modulo 2³². */
function unsigned(b: Emit, x: Value): Value {
  const whole = b.select(b.less(x, number(b, 0)), b.ceil(x), b.floor(x));
  return modulo(b, whole, word);
}

/** The 32-bit integer with these bits. */
const signed = (b: Emit, x: Value) => b.select(b.less(x, number(b, word / 2)), x, b.sub(x, number(b, word)));

/** 2 to the lowest five bits of the shift. */
const power = (b: Emit, shift: Value) => b.pow(number(b, 2), modulo(b, unsigned(b, shift), 32));

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
function both(b: Emit, x: Value, y: Value): Value {
  let sum: Value | undefined;
  for (let i = 0; i < 32; i++) {
    const bit = (value: Value) => modulo(b, b.floor(b.div(value, number(b, 2 ** i))), 2);
    const part = b.mul(b.mul(bit(x), bit(y)), number(b, 2 ** i));
    sum = sum ? b.add(sum, part) : part;
  }
  return sum!;
}
