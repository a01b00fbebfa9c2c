/** A function of numbers inside a formula, with JavaScript's own meaning. */
interface IndexFunction {
  readonly arity: number;
  readonly evaluate: (x: number, y: number, z: number) => number;
  /** How it is written: an operator with its precedence, or a call. */
  readonly text: { readonly operator: string; readonly precedence: number } | { readonly call: string };
  /** It answers 0 or 1. */
  readonly truth?: true;
  /** It works on the bits of 32-bit integers, and answers one. */
  readonly bits?: true;
}

const call = (name: string, arity: number, evaluate: IndexFunction["evaluate"]): IndexFunction => ({
  arity,
  evaluate,
  text: { call: name },
});
const infix = (operator: string, precedence: number, evaluate: IndexFunction["evaluate"]): IndexFunction => ({
  arity: 2,
  evaluate,
  text: { operator, precedence },
});
const truth = (operator: string, precedence: number, evaluate: (x: number, y: number) => boolean): IndexFunction => ({
  arity: 2,
  evaluate: (x, y) => Number(evaluate(x, y)),
  text: { operator, precedence },
  truth: true,
});
const prefix = (operator: string, evaluate: IndexFunction["evaluate"]): IndexFunction => ({
  arity: 1,
  evaluate,
  text: { operator, precedence: 14 },
});

const bits = (one: IndexFunction): IndexFunction => ({ ...one, bits: true });

/**
 * Every function of a formula. Precedences are JavaScript's. Truth is 0 and 1; `and`, `or` and `not` take and answer
 * these. Numbers are float64.
 */
const table = {
  add: infix("+", 11, (x, y) => x + y),
  sub: infix("-", 11, (x, y) => x - y),
  mul: infix("*", 12, (x, y) => x * y),
  div: infix("/", 12, (x, y) => x / y),
  /** Remainder with the sign of x. */
  mod: infix("%", 12, (x, y) => x % y),
  pow: infix("**", 13, (x, y) => x ** y),
  neg: prefix("-", (x) => -x),
  min: call("Math.min", 2, (x, y) => Math.min(x, y)),
  max: call("Math.max", 2, (x, y) => Math.max(x, y)),
  abs: call("Math.abs", 1, Math.abs),
  floor: call("Math.floor", 1, Math.floor),
  ceil: call("Math.ceil", 1, Math.ceil),
  /** Nearest integer, halves up. */
  round: call("Math.round", 1, Math.round),
  trunc: call("Math.trunc", 1, Math.trunc),
  sign: call("Math.sign", 1, Math.sign),
  sqrt: call("Math.sqrt", 1, Math.sqrt),
  exp: call("Math.exp", 1, Math.exp),
  log: call("Math.log", 1, Math.log),
  log2: call("Math.log2", 1, Math.log2),
  sin: call("Math.sin", 1, Math.sin),
  cos: call("Math.cos", 1, Math.cos),
  tanh: call("Math.tanh", 1, Math.tanh),
  cbrt: call("Math.cbrt", 1, Math.cbrt),
  expm1: call("Math.expm1", 1, Math.expm1),
  log10: call("Math.log10", 1, Math.log10),
  log1p: call("Math.log1p", 1, Math.log1p),
  tan: call("Math.tan", 1, Math.tan),
  asin: call("Math.asin", 1, Math.asin),
  acos: call("Math.acos", 1, Math.acos),
  atan: call("Math.atan", 1, Math.atan),
  /** The angle of the point (y, x): the first argument is y. */
  atan2: call("Math.atan2", 2, Math.atan2),
  sinh: call("Math.sinh", 1, Math.sinh),
  cosh: call("Math.cosh", 1, Math.cosh),
  asinh: call("Math.asinh", 1, Math.asinh),
  acosh: call("Math.acosh", 1, Math.acosh),
  atanh: call("Math.atanh", 1, Math.atanh),
  /** √(x² + y²) */
  hypot: call("Math.hypot", 2, (x, y) => Math.hypot(x, y)),
  /** Nearest number of f32. */
  fround: call("Math.fround", 1, Math.fround),
  bitAnd: bits(infix("&", 7, (x, y) => x & y)),
  bitOr: bits(infix("|", 5, (x, y) => x | y)),
  bitXor: bits(infix("^", 6, (x, y) => x ^ y)),
  bitNot: bits(prefix("~", (x) => ~x)),
  shiftLeft: bits(infix("<<", 10, (x, y) => x << y)),
  shiftRight: bits(infix(">>", 10, (x, y) => x >> y)),
  shiftRightUnsigned: bits(infix(">>>", 10, (x, y) => x >>> y)),
  equal: truth("===", 8, (x, y) => x === y),
  notEqual: truth("!==", 8, (x, y) => x !== y),
  less: truth("<", 9, (x, y) => x < y),
  lessEqual: truth("<=", 9, (x, y) => x <= y),
  greater: truth(">", 9, (x, y) => x > y),
  greaterEqual: truth(">=", 9, (x, y) => x >= y),
  and: truth("&&", 4, (x, y) => x !== 0 && y !== 0),
  or: truth("||", 3, (x, y) => x !== 0 || y !== 0),
  not: { arity: 1, evaluate: (x) => Number(x === 0), text: { operator: "!", precedence: 14 }, truth: true },
  /** x where the condition holds, else y. */
  select: { arity: 3, evaluate: (c, x, y) => (c !== 0 ? x : y), text: { operator: "?", precedence: 2 } },
} as const satisfies Record<string, IndexFunction>;

export type IndexFn = keyof typeof table;

export const indexFunctions: Readonly<Record<IndexFn, IndexFunction>> = table;
