import type { DType } from "../../../ir/dtype.ts";
import { isFloat } from "../../../ir/dtype.ts";
import type { elementwise } from "../../../ir/ops/elementwise.ts";
import type { OpName } from "../../../ir/ops/index.ts";
import { cast, type LowerContext, type Lowering, type Lowerings, widened } from "./lowering.ts";

/**
 * Element types to compute in where the runtime's CPU provider has no kernel for the one at hand. f16 is not listed:
 * the runtime converts it by itself.
 */
const detours: Readonly<Record<string, Partial<Record<DType, DType>>>> = {
  Neg: { u8: "i32" },
  Erf: { f64: "f32" },
  Add: { i8: "i32", u8: "i32" },
  Sub: { i8: "i32", u8: "i32" },
  Mul: { i8: "i32", u8: "i32" },
  Div: { i8: "i32", u8: "i32" },
  Pow: { i8: "i32", u8: "i32" },
  Max: {},
  Min: {},
  Equal: {},
  Less: { i8: "i32", u8: "i32", bool: "i32" },
  LessOrEqual: { i8: "i32", u8: "i32", bool: "i32" },
  Where: { i8: "i32", bool: "u8" },
};

/** Writes one operator on all operands, in a wider element type where the runtime needs one. */
function direct<K extends OpName>(opType: string): Lowering<K> {
  return ({ e, operands, type }) => {
    const dtype = operands.at(-1)!.type.dtype;
    const detour = detours[opType]?.[dtype];
    if (detour === undefined) return e.op(type, opType, operands);
    return widened(e, operands, type, detour, (wide, wideType) => e.op(wideType, opType, wide));
  };
}

/** Remainder with the sign of the divisor; ONNX has it for integers, for floats x - y·⌊x/y⌋ is spelled out. */
function mod({ e, operands, type }: LowerContext<"mod">) {
  const [x, y] = operands as [(typeof operands)[0], (typeof operands)[0]];
  if (!isFloat(type.dtype)) return e.op(type, "Mod", operands);
  const whole = e.op(type, "Floor", [e.op(type, "Div", [x, y])]);
  return e.op(type, "Sub", [x, e.op(type, "Mul", [whole, y])]);
}

/** In f64 spelled out as 1/(1 + e^-x): the runtime would join the operator with a product into one it only has for f32. */
function sigmoid({ e, operands: [x], type }: LowerContext<"sigmoid">) {
  if (type.dtype !== "f64") return e.op(type, "Sigmoid", [x]);
  const one = e.scalar("f64", 1);
  return e.op(type, "Div", [one, e.op(type, "Add", [e.op(type, "Exp", [e.op(type, "Neg", [x])]), one])]);
}

function select({ e, operands, type }: LowerContext<"select">) {
  const [condition, x, y] = operands as [(typeof operands)[0], (typeof operands)[0], (typeof operands)[0]];
  const detour = detours.Where![type.dtype];
  if (detour === undefined) return e.op(type, "Where", operands);
  return widened(e, [x, y], type, detour, ([a, b]) =>
    e.op({ dtype: detour, shape: type.shape }, "Where", [condition, a, b]),
  );
}

export const elementwiseLowerings: Lowerings<keyof typeof elementwise> = {
  neg: direct("Neg"),
  abs: direct("Abs"),
  sign: direct("Sign"),
  exp: direct("Exp"),
  log: direct("Log"),
  sqrt: direct("Sqrt"),
  erf: direct("Erf"),
  tanh: direct("Tanh"),
  sin: direct("Sin"),
  cos: direct("Cos"),
  sigmoid,
  floor: direct("Floor"),
  ceil: direct("Ceil"),
  round: direct("Round"),
  not: direct("Not"),
  add: direct("Add"),
  sub: direct("Sub"),
  mul: direct("Mul"),
  div: direct("Div"),
  pow: direct("Pow"),
  max: direct("Max"),
  min: direct("Min"),
  mod,
  equal: direct("Equal"),
  less: direct("Less"),
  lessEqual: direct("LessOrEqual"),
  and: direct("And"),
  or: direct("Or"),
  select,
  cast: ({ e, operands, attrs }) => cast(e, operands[0]!, attrs.to),
};
