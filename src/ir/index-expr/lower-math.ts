import { invariant } from "../diagnostics.ts";
import type { Value } from "../graph.ts";
import type { Emit } from "../op-def.ts";
import type { IndexFn } from "./functions.ts";

type Unary = (b: Emit, x: Value) => Value;

const number = (b: Emit, like: Value, value: number) => b.scalar(value, like.type.dtype);
const plus = (b: Emit, x: Value, value: number) => b.add(x, number(b, x, value));
const times = (b: Emit, x: Value, value: number) => b.mul(x, number(b, x, value));
const inverse = (b: Emit, x: Value) => b.div(number(b, x, 1), x);
const below = (b: Emit, x: Value, value: number) => b.less(x, number(b, x, value));
const isNumber = (b: Emit, x: Value, value: number) => b.equal(x, number(b, x, value));

/** `f` of the magnitude, with the sign of x. */
const odd =
  (f: Unary): Unary =>
  (b, x) => {
    const size = f(b, b.abs(x));
    return b.select(below(b, x, 0), b.neg(size), size);
  };

/** A logarithm that is an integer where x is a power of the base: the power tells, a quotient of logarithms need not. */
const logarithm =
  (base: number): Unary =>
  (b, x) => {
    const near = b.div(b.log(x), number(b, x, Math.log(base)));
    const whole = b.round(near);
    return b.select(b.equal(b.pow(number(b, x, base), whole), x), whole, near);
  };

/** The root of the power, one step of Newton's, and the integer where x is the cube of one. */
const cubeRoot = odd((b, x) => {
  const near = b.pow(x, number(b, x, 1 / 3));
  const whole = b.round(near);
  const square = b.mul(near, near);
  const nearer = b.sub(near, b.div(b.sub(b.mul(square, near), x), times(b, square, 3)));
  return b.select(b.equal(b.mul(b.mul(whole, whole), whole), x), whole, nearer);
});

/** exp(x) - 1, near 0 by 2w / (1 - w), w = tanh(x / 2), which keeps its digits. */
const expm1: Unary = (b, x) => {
  const w = b.tanh(times(b, x, 0.5));
  const near = b.div(times(b, w, 2), b.sub(number(b, x, 1), w));
  return b.select(below(b, b.abs(x), 1), near, plus(b, b.exp(x), -1));
};

/** log(1 + x), where 1 + x is rounded: what it lost is made good by x / ((1 + x) - 1). */
const log1p: Unary = (b, x) => {
  const sum = plus(b, x, 1);
  const kept = plus(b, sum, -1);
  const mended = b.mul(b.log(sum), b.div(x, kept));
  const finite = b.select(isNumber(b, kept, 0), x, mended);
  return b.select(below(b, sum, Number.POSITIVE_INFINITY), finite, sum);
};

const sinh = odd((b, x) => {
  const near = expm1(b, x);
  const small = times(b, b.add(near, b.div(near, plus(b, near, 1))), 0.5);
  const large = times(b, b.sub(b.exp(x), b.exp(b.neg(x))), 0.5);
  return b.select(below(b, x, 1), small, large);
});

const cosh: Unary = (b, x) => times(b, b.add(b.exp(x), b.exp(b.neg(x))), 0.5);

const asinh = odd((b, x) => {
  const square = b.mul(x, x);
  return log1p(b, b.add(x, b.div(square, plus(b, b.sqrt(plus(b, square, 1)), 1))));
});

const acosh: Unary = (b, x) => {
  const above = plus(b, x, -1);
  return log1p(b, b.add(above, b.mul(b.sqrt(above), b.sqrt(plus(b, above, 2)))));
};

const atanh = odd((b, x) => times(b, log1p(b, b.div(times(b, x, 2), b.sub(number(b, x, 1), x))), 0.5));

/**
 * A guess good to 0.005 on [0, 1], then twice the sine of what is missing: (z cos y - sin y) / √(1 + z²). Beyond 1 the
 * angle of the inverse is taken off π/2.
 */
const atan = odd((b, x) => {
  const beyond = b.less(number(b, x, 1), x);
  const z = b.select(beyond, inverse(b, x), x);
  const square = b.mul(z, z);
  const length = b.sqrt(plus(b, square, 1));
  let angle = b.div(z, plus(b, times(b, square, 0.28), 1));
  for (let step = 0; step < 2; step++) angle = b.add(angle, b.div(b.sub(b.mul(z, b.cos(angle)), b.sin(angle)), length));
  return b.select(beyond, b.sub(number(b, x, Math.PI / 2), angle), angle);
});

const asin: Unary = (b, x) => {
  const other = b.sqrt(b.mul(b.sub(number(b, x, 1), x), plus(b, x, 1)));
  return atan(b, b.div(x, other));
};

const acos: Unary = (b, x) => times(b, atan(b, b.sqrt(b.div(b.sub(number(b, x, 1), x), plus(b, x, 1)))), 2);

/** Less than 0, or -0: JavaScript tells the two zeros apart. */
const isNegative = (b: Emit, x: Value) => b.or(below(b, x, 0), below(b, inverse(b, x), 0));

function atan2(b: Emit, y: Value, x: Value): Value {
  const [height, width] = [b.abs(y), b.abs(x)];
  const slope = b.select(isNumber(b, height, 0), height, b.div(height, width));
  const angle = atan(b, slope);
  const upper = b.select(isNegative(b, x), b.sub(number(b, x, Math.PI), angle), angle);
  return b.select(isNegative(b, y), b.neg(upper), upper);
}

/** Of shares of the larger one, as engines do it: the same digits as `Math.hypot`. */
function hypot(b: Emit, x: Value, y: Value): Value {
  const [left, right] = [b.abs(x), b.abs(y)];
  const largest = b.max(left, right);
  const square = (side: Value) => {
    const share = b.div(side, largest);
    return b.mul(share, share);
  };
  const scaled = b.mul(b.sqrt(b.add(square(left), square(right))), largest);
  const extreme = b.or(isNumber(b, largest, 0), isNumber(b, largest, Number.POSITIVE_INFINITY));
  return b.select(extreme, largest, scaled);
}

/** To the 24 digits of f32, by the sum of a multiple that leaves no room for more (Veltkamp 1968). */
const fround: Unary = (b, x) => {
  if (x.type.dtype !== "f64") return x;
  const large = times(b, x, 2 ** 29 + 1);
  const rounded = b.sub(large, b.sub(large, x));
  return b.select(below(b, b.abs(x), Number.POSITIVE_INFINITY), rounded, x);
};

const unary: Readonly<Partial<Record<IndexFn, Unary>>> = {
  log2: logarithm(2),
  log10: logarithm(10),
  cbrt: cubeRoot,
  expm1,
  log1p,
  tan: (b, x) => b.div(b.sin(x), b.cos(x)),
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  fround,
};

/** Functions of real numbers that are no ops, in the element type of the operands. */
export function realFunction(b: Emit, fn: IndexFn, x: Value, y: () => Value): Value {
  if (fn === "atan2") return atan2(b, x, y());
  if (fn === "hypot") return hypot(b, x, y());
  const known = unary[fn];
  invariant(known, `${fn} has no tensors`);
  return known(b, x);
}
