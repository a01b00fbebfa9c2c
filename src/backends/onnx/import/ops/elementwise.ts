import { type DType, isFloat, isInteger } from "../../../../ir/dtype.ts";
import type { Value } from "../../../../ir/graph.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";
import { alignShapes } from "./broadcast.ts";

type UnaryName =
  | "neg"
  | "abs"
  | "sign"
  | "exp"
  | "log"
  | "sqrt"
  | "erf"
  | "tanh"
  | "sin"
  | "cos"
  | "sigmoid"
  | "floor"
  | "ceil"
  | "round"
  | "not"
  | "relu"
  | "silu";

const unary =
  (op: UnaryName): Conversion =>
  (cx) =>
    cx.b[op](cx.value(0));

type BinaryName = "add" | "sub" | "mul" | "div" | "pow" | "max" | "min" | "equal" | "less" | "lessEqual" | "and" | "or";

/** Before operator set 7 the second operand was stretched along an axis an attribute names. */
function operands(cx: NodeContext, count: number): readonly Value[] {
  if (cx.opset < 7 && cx.int("broadcast", 0) !== 0) unmodelled("it stretches an operand along a given axis");
  const values = Array.from({ length: count }, (_, i) => cx.value(i));
  alignShapes(
    cx,
    values.map(({ type }) => type.shape),
  );
  return values;
}

const binary =
  (op: BinaryName, swapped = false): Conversion =>
  (cx) => {
    const [x, y] = operands(cx, 2) as [Value, Value];
    return swapped ? cx.b[op](y, x) : cx.b[op](x, y);
  };

const variadic =
  (op: "add" | "max" | "min"): Conversion =>
  (cx) =>
    operands(cx, cx.inputs.length).reduce((x, y) => cx.b[op](x, y));

/** A number beside `x`. */
const beside = (cx: NodeContext, x: Value, value: number): Value => cx.b.scalar(value, x.type.dtype);

function floating(x: Value): Value {
  return isFloat(x.type.dtype) ? x : unmodelled(`${x.type.dtype} is not floating point`);
}

const ofFloat =
  (f: (cx: NodeContext, x: Value, c: (value: number) => Value) => Value): Conversion =>
  (cx) => {
    const x = floating(cx.value(0));
    return f(cx, x, (value) => beside(cx, x, value));
  };

/** Quotients of integers truncate; the runtime's answer to a division by zero is its own. */
const pow: Conversion = (cx) => {
  const [x, given] = operands(cx, 2) as [Value, Value];
  if (!isFloat(x.type.dtype)) return unmodelled("it is a power of integers");
  return cx.b.pow(x, cast(cx, given, x.type.dtype));
};

const cast = (cx: NodeContext, x: Value, to: DType): Value => (x.type.dtype === to ? x : cx.b.cast(x, { to }));

const mod: Conversion = (cx) => {
  const [x, y] = operands(cx, 2) as [Value, Value];
  if (cx.flag("fmod", false) || !isInteger(x.type.dtype))
    return unmodelled("its remainder has the sign of the dividend");
  return cx.b.mod(x, y);
};

/** Limits are operands from operator set 11 on. */
const clip: Conversion = (cx) => {
  const x = cx.value(0);
  const limit = (name: string, i: number) => {
    if (cx.opset >= 11) return cx.has(i) ? cx.value(i) : undefined;
    const value = cx.float(name);
    return value === undefined ? undefined : beside(cx, x, value);
  };
  const [low, high] = [limit("min", 1), limit("max", 2)];
  const raised = low ? cx.b.max(x, low) : x;
  return high ? cx.b.min(raised, high) : raised;
};

const convertCast: Conversion = (cx) => {
  const x = cx.value(0);
  const to = cx.dtype("to");
  // What becomes of NaN, infinities and numbers out of range is the runtime's.
  return cast(cx, x, to);
};

/** max(x, 0) + ln(1 + e^(-|x|)). */
const softplus = (cx: NodeContext, x: Value): Value => {
  const rest = cx.b.log(cx.b.add(beside(cx, x, 1), cx.b.exp(cx.b.neg(cx.b.abs(x)))));
  return cx.b.add(cx.b.max(x, beside(cx, x, 0)), rest);
};

const leakyRelu = ofFloat((cx, x, c) =>
  cx.b.select(cx.b.less(x, c(0)), cx.b.mul(x, c(Math.fround(cx.float("alpha", 0.01)))), x),
);

const xor: Conversion = (cx) => {
  const [x, y] = operands(cx, 2) as [Value, Value];
  return cx.b.not(cx.b.equal(x, y));
};

const where: Conversion = (cx) => {
  const [condition, x, y] = operands(cx, 3) as [Value, Value, Value];
  return cx.b.select(condition, x, y);
};

const gelu: Conversion = (cx) => {
  const approximate = cx.text("approximate", "none");
  return cx.b.gelu(floating(cx.value(0)), { approximate });
};

/** x · sigmoid(alpha · x). */
const swish = (alpha: number): Conversion =>
  ofFloat((cx, x, c) => {
    const slope = Math.fround(cx.float("alpha", alpha));
    return slope === 1 ? cx.b.silu(x) : cx.b.mul(x, cx.b.sigmoid(cx.b.mul(x, c(slope))));
  });

const withBias = (cx: NodeContext): Value => {
  const x = floating(cx.value(0));
  return cx.has(1) ? cx.b.add(x, cx.value(1)) : x;
};

/** Operators on each element alone, in the standard domain. */
export const elementwiseConversions: Readonly<Record<string, Conversion>> = {
  Neg: unary("neg"),
  Abs: unary("abs"),
  Sign: unary("sign"),
  Exp: unary("exp"),
  Log: unary("log"),
  Sqrt: unary("sqrt"),
  Erf: unary("erf"),
  Tanh: unary("tanh"),
  Sin: unary("sin"),
  Cos: unary("cos"),
  Sigmoid: unary("sigmoid"),
  Floor: unary("floor"),
  Ceil: unary("ceil"),
  Round: unary("round"),
  Not: unary("not"),
  Relu: unary("relu"),
  Add: binary("add"),
  Sub: binary("sub"),
  Mul: binary("mul"),
  Div: binary("div"),
  Equal: binary("equal"),
  Less: binary("less"),
  LessOrEqual: binary("lessEqual"),
  Greater: binary("less", true),
  GreaterOrEqual: binary("lessEqual", true),
  And: binary("and"),
  Or: binary("or"),
  Xor: xor,
  Max: variadic("max"),
  Min: variadic("min"),
  Sum: variadic("add"),
  Mean: (cx) => {
    const values = operands(cx, cx.inputs.length);
    const total = values.reduce((x, y) => cx.b.add(x, y));
    return cx.b.div(total, beside(cx, total, values.length));
  },
  Pow: pow,
  Mod: mod,
  Where: where,
  Clip: clip,
  Cast: convertCast,
  CastLike: (cx) => cast(cx, cx.value(0), cx.operand(1).type.dtype),
  Identity: (cx) => cx.operand(0),
  Reciprocal: ofFloat((cx, x, c) => cx.b.div(c(1), x)),
  // ln(1 + e^x), whose exponent does not overflow.
  Softplus: ofFloat((cx, x) => softplus(cx, x)),
  Mish: ofFloat((cx, x) => cx.b.mul(x, cx.b.tanh(softplus(cx, x)))),
  Selu: ofFloat((cx, x, c) => {
    const alpha = Math.fround(cx.float("alpha", 1.6732632423543772));
    return cx.b.mul(cx.b.elu(x, { alpha }), c(Math.fround(cx.float("gamma", 1.0507009873554805))));
  }),
  Celu: ofFloat((cx, x, c) => {
    const alpha = c(Math.fround(cx.float("alpha", 1)));
    const below = cx.b.mul(alpha, cx.b.sub(cx.b.exp(cx.b.div(x, alpha)), c(1)));
    return cx.b.add(cx.b.max(c(0), x), cx.b.min(c(0), below));
  }),
  Shrink: ofFloat((cx, x, c) => {
    const [limit, bias] = [Math.fround(cx.float("lambd", 0.5)), c(Math.fround(cx.float("bias", 0)))];
    const above = cx.b.select(cx.b.less(c(limit), x), cx.b.sub(x, bias), c(0));
    return cx.b.select(cx.b.less(x, c(-limit)), cx.b.add(x, bias), above);
  }),
  Cosh: ofFloat((cx, x, c) => cx.b.mul(cx.b.add(cx.b.exp(x), cx.b.exp(cx.b.neg(x))), c(0.5))),
  Tan: ofFloat((cx, x) => cx.b.div(cx.b.sin(x), cx.b.cos(x))),
  IsNaN: ofFloat((cx, x) => cx.b.not(cx.b.equal(x, x))),
  IsInf: ofFloat((cx, x, c) => {
    const high = cx.b.equal(x, c(Number.POSITIVE_INFINITY));
    const low = cx.b.equal(x, c(Number.NEGATIVE_INFINITY));
    const [positive, negative] = [cx.flag("detect_positive", true), cx.flag("detect_negative", true)];
    if (positive && negative) return cx.b.or(high, low);
    return positive ? high : negative ? low : unmodelled("it detects nothing");
  }),
  LeakyRelu: leakyRelu,
  PRelu: (cx) => {
    const [x, slope] = operands(cx, 2) as [Value, Value];
    return cx.b.select(cx.b.less(floating(x), beside(cx, x, 0)), cx.b.mul(x, slope), x);
  },
  Elu: ofFloat((cx, x) => cx.b.elu(x, { alpha: Math.fround(cx.float("alpha", 1)) })),
  Softsign: ofFloat((cx, x, c) => cx.b.div(x, cx.b.add(c(1), cx.b.abs(x)))),
  HardSigmoid: ofFloat((cx, x, c) => {
    const line = cx.b.add(cx.b.mul(x, c(Math.fround(cx.float("alpha", 0.2)))), c(Math.fround(cx.float("beta", 0.5))));
    return cx.b.max(c(0), cx.b.min(c(1), line));
  }),
  HardSwish: ofFloat((cx, x, c) => {
    const line = cx.b.add(cx.b.mul(x, c(1 / 6)), c(0.5));
    return cx.b.mul(x, cx.b.max(c(0), cx.b.min(c(1), line)));
  }),
  ThresholdedRelu: ofFloat((cx, x, c) => cx.b.select(cx.b.less(c(Math.fround(cx.float("alpha", 1))), x), x, c(0))),
  Gelu: gelu,
  Swish: swish(1),
  Dropout: (cx) => {
    const training = cx.opset >= 12 ? cx.has(2) : cx.opset < 7 && !cx.flag("is_test", false);
    if (training && !(cx.opset >= 12 && cx.numbersOrUndefined(2)?.[0] === 0))
      return unmodelled("it drops elements at random");
    const x = cx.operand(0);
    if (!cx.isUsed(1)) return x;
    if (cx.opset < 10) return unmodelled("its mask has the element type of its operand");
    return [x, cx.b.broadcast(cx.b.scalar(1, "bool"), { shape: x.type.shape })];
  },
};

/** The same in `com.microsoft`. */
export const contribElementwise: Readonly<Record<string, Conversion>> = {
  Gelu: gelu,
  FastGelu: (cx) => cx.b.gelu(withBias(cx), { approximate: "tanh" }),
  BiasGelu: (cx) => cx.b.gelu(withBias(cx)),
  QuickGelu: swish(1.702),
};
