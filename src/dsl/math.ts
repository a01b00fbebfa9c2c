import type { DType } from "../ir/dtype.ts";
import type { OpName } from "../ir/ops/index.ts";
import { run } from "./builder.ts";
import { checkOptions, finite } from "./checks.ts";
import type { Checked } from "./shape-types.ts";
import {
  apply,
  asTensor,
  type Both,
  type Compared,
  castTo,
  elementwise,
  type Operand,
  type PairError,
  type Tensor,
} from "./tensor.ts";

type Unary = <T extends Tensor>(x: T) => T;

function unary(op: OpName, name: string = op): Unary {
  const named = {
    [name]: <T extends Tensor>(x: T): T => run(named[name] as never, [x], (b) => elementwise(b, op, [x])),
  };
  return named[name] as Unary;
}

/** -x */
export const neg = unary("neg");
/** |x| */
export const abs = unary("abs");
/** -1, 0 or 1 */
export const sign = unary("sign");
/** e^x */
export const exp = unary("exp");
/** ln x */
export const log = unary("log");
/** √x */
export const sqrt = unary("sqrt");
/** 2/√π ∫₀ˣ e^(-t²) dt */
export const erf = unary("erf");
/** Hyperbolic tangent. */
export const tanh = unary("tanh");
/** Sine, x in radians. */
export const sin = unary("sin");
/** Cosine, x in radians. */
export const cos = unary("cos");
/** 1 / (1 + e^(-x)) */
export const sigmoid = unary("sigmoid");
/** Largest integer not above x. */
export const floor = unary("floor");
/** Smallest integer not below x. */
export const ceil = unary("ceil");
/** Nearest integer, ties to even. */
export const round = unary("round");
/** max(x, 0) */
export const relu = unary("relu");
/** x · sigmoid(x) */
export const silu = unary("silu");
/** Logical negation of a bool tensor. */
export const not = unary("not");

/** x + y. Shapes broadcast as in NumPy; numbers take the element type of the tensor beside them. */
export function add<A extends Operand, B extends Operand>(x: A, y: Checked<B, PairError<"add", A, B>>): Both<A, B> {
  return run(add, [x, y], (b) => elementwise(b, "add", [x, y]));
}
/** x - y */
export function sub<A extends Operand, B extends Operand>(x: A, y: Checked<B, PairError<"sub", A, B>>): Both<A, B> {
  return run(sub, [x, y], (b) => elementwise(b, "sub", [x, y]));
}
/** x · y, element by element */
export function mul<A extends Operand, B extends Operand>(x: A, y: Checked<B, PairError<"mul", A, B>>): Both<A, B> {
  return run(mul, [x, y], (b) => elementwise(b, "mul", [x, y]));
}
/** x / y; integers truncate towards zero */
export function div<A extends Operand, B extends Operand>(x: A, y: Checked<B, PairError<"div", A, B>>): Both<A, B> {
  return run(div, [x, y], (b) => elementwise(b, "div", [x, y]));
}
/** x ^ y */
export function pow<A extends Operand, B extends Operand>(x: A, y: Checked<B, PairError<"pow", A, B>>): Both<A, B> {
  return run(pow, [x, y], (b) => elementwise(b, "pow", [x, y]));
}
/** The larger of both, element by element. */
export function maximum<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"maximum", A, B>>,
): Both<A, B> {
  return run(maximum, [x, y], (b) => elementwise(b, "max", [x, y]));
}
/** The smaller of both, element by element. */
export function minimum<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"minimum", A, B>>,
): Both<A, B> {
  return run(minimum, [x, y], (b) => elementwise(b, "min", [x, y]));
}
/** Remainder of x / y with the sign of y. */
export function mod<A extends Operand, B extends Operand>(x: A, y: Checked<B, PairError<"mod", A, B>>): Both<A, B> {
  return run(mod, [x, y], (b) => elementwise(b, "mod", [x, y]));
}

/** x = y, as bool */
export function equal<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"equal", A, B>>,
): Compared<A, B> {
  return run(equal, [x, y], (b) => elementwise(b, "equal", [x, y]));
}
/** x ≠ y, as bool */
export function notEqual<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"notEqual", A, B>>,
): Compared<A, B> {
  return run(notEqual, [x, y], (b) => elementwise(b, "not", [elementwise(b, "equal", [x, y])]));
}
/** x < y, as bool */
export function less<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"less", A, B>>,
): Compared<A, B> {
  return run(less, [x, y], (b) => elementwise(b, "less", [x, y]));
}
/** x ≤ y, as bool */
export function lessEqual<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"lessEqual", A, B>>,
): Compared<A, B> {
  return run(lessEqual, [x, y], (b) => elementwise(b, "lessEqual", [x, y]));
}
/** x > y, as bool */
export function greater<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"greater", A, B>>,
): Compared<A, B> {
  return run(greater, [x, y], (b) => elementwise(b, "less", [y, x]));
}
/** x ≥ y, as bool */
export function greaterEqual<A extends Operand, B extends Operand>(
  x: A,
  y: Checked<B, PairError<"greaterEqual", A, B>>,
): Compared<A, B> {
  return run(greaterEqual, [x, y], (b) => elementwise(b, "lessEqual", [y, x]));
}
/** Both conditions hold; bool tensors. */
export function and<A extends Tensor, B extends Tensor>(x: A, y: Checked<B, PairError<"and", A, B>>): Compared<A, B> {
  return run(and, [x, y], (b) => elementwise(b, "and", [x, y]));
}
/** Either condition holds; bool tensors. */
export function or<A extends Tensor, B extends Tensor>(x: A, y: Checked<B, PairError<"or", A, B>>): Compared<A, B> {
  return run(or, [x, y], (b) => elementwise(b, "or", [x, y]));
}

/** The same numbers in another element type: floats to integers truncate, anything to bool is ≠ 0. */
export function cast<T extends Tensor, To extends DType>(
  x: T,
  dtype: To,
): Tensor<T extends Tensor<infer S> ? S : never, To> {
  return run(cast, [x], (b) => castTo(b, x, dtype));
}

export interface EluOptions {
  /** Minus the value far below zero; 1 by default. */
  readonly alpha?: number;
}

/** x where x > 0, alpha · (e^x - 1) elsewhere (Clevert et al., arXiv:1511.07289). */
export function elu<T extends Tensor>(x: T, options?: EluOptions): T {
  return run(elu, [x], (b) => {
    const { alpha = 1 } = checkOptions(options, ["alpha"], "elu");
    return apply(b, "elu", [asTensor(b, x, "x")], { alpha: finite(alpha, "alpha") });
  }) as T;
}

export interface GeluOptions {
  /** `"none"` is x · Φ(x), `"tanh"` its approximation. */
  readonly approximate?: "none" | "tanh";
}
