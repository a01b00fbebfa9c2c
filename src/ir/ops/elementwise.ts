import { attr } from "../attrs.ts";
import { isFloat } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { defineOp, type Emit, type RefTensor, type Trait } from "../op-def.ts";
import { mapElements } from "../reference/broadcast.ts";
import { erf } from "../reference/special.ts";
import { broadcastAll, floatSame, numericSame } from "./shape-rules.ts";

interface UnaryExtras {
  readonly domain?: "numeric" | "float";
  /** Gradient of the loss by `x`, from x, y = f(x) and dy. */
  readonly grad?: (b: Emit, x: Value, y: Value, dy: Value) => Value;
}

function unary(name: string, doc: string, f: (x: number) => number, { domain = "float", grad }: UnaryExtras = {}) {
  return defineOp({
    name,
    doc,
    operands: ["x"],
    attrs: {},
    traits: ["elementwise"],
    constraints: { C1: domain === "float" ? "x is floating point" : "x is a number" },
    infer: domain === "float" ? floatSame : numericSame,
    evaluate: (operands) => mapElements(operands, f),
    ...(grad && { grad: (b, { operands, results, dy }) => [grad(b, operands[0]!, results[0]!, dy)] }),
  });
}

interface BinaryExtras {
  readonly traits?: readonly Trait[];
  readonly identity?: number;
  readonly absorbing?: number;
}

function binary(name: string, doc: string, f: (x: number, y: number) => number, extras: BinaryExtras = {}) {
  return defineOp({
    name,
    doc,
    operands: ["x", "y"],
    attrs: {},
    traits: ["elementwise", ...(extras.traits ?? [])],
    ...(extras.identity !== undefined && { identity: extras.identity }),
    ...(extras.absorbing !== undefined && { absorbing: extras.absorbing }),
    constraints: { C1: "x and y have one element type", C2: "shapes broadcast", C3: "operands are numbers" },
    infer: (cx) => {
      cx.require(cx.types[0]!.dtype !== "bool", "C3", "bool is not numeric");
      return broadcastAll(cx, cx.types);
    },
    evaluate: (operands, { results }) =>
      isFloat(results[0]!.dtype) ? mapElements(operands, f) : mapElements(operands, (x, y) => Math.trunc(f(x, y))),
  });
}

function comparison(name: string, doc: string, f: (x: number, y: number) => boolean, traits: readonly Trait[] = []) {
  return defineOp({
    name,
    doc,
    operands: ["x", "y"],
    attrs: {},
    traits: ["elementwise", ...traits],
    constraints: { C1: "x and y have one element type", C2: "shapes broadcast" },
    infer: (cx) => broadcastAll(cx, cx.types, "bool"),
    evaluate: (operands: readonly RefTensor[]) => mapElements(operands, (x, y) => Number(f(x, y))),
  });
}

function logic(name: string, doc: string, absorbing: number, f: (x: number, y: number) => boolean) {
  return defineOp({
    name,
    doc,
    absorbing,
    operands: ["x", "y"],
    attrs: {},
    traits: ["elementwise", "commutative"],
    constraints: { C1: "operands are bool", C2: "shapes broadcast" },
    infer: (cx) => {
      cx.require(
        cx.types.every(({ dtype }) => dtype === "bool"),
        "C1",
        "operands are not both bool",
      );
      return broadcastAll(cx, cx.types);
    },
    evaluate: (operands: readonly RefTensor[]) => mapElements(operands, (x, y) => Number(f(x, y))),
  });
}

/** One number in, one number out, for each element. Operands broadcast as in NumPy. */
export const elementwise = {
  neg: unary("neg", "-x", (x) => -x, { domain: "numeric", grad: (b, _x, _y, dy) => b.neg(dy) }),
  abs: unary("abs", "|x|", Math.abs, { domain: "numeric", grad: (b, x, _y, dy) => b.mul(dy, b.sign(x)) }),
  sign: unary("sign", "-1, 0 or 1", Math.sign, { domain: "numeric" }),
  exp: unary("exp", "e^x", Math.exp, { grad: (b, _x, y, dy) => b.mul(dy, y) }),
  log: unary("log", "ln x", Math.log, { grad: (b, x, _y, dy) => b.div(dy, x) }),
  sqrt: unary("sqrt", "√x", Math.sqrt, { grad: (b, _x, y, dy) => b.div(dy, b.add(y, y)) }),
  erf: unary("erf", "2/√π ∫₀ˣ e^(-t²) dt", erf, {
    grad: (b, x, _y, dy) => b.mul(dy, b.mul(b.exp(b.neg(b.mul(x, x))), b.scalar(2 / Math.sqrt(Math.PI), x.type.dtype))),
  }),
  tanh: unary("tanh", "hyperbolic tangent", Math.tanh, {
    grad: (b, _x, y, dy) => b.sub(dy, b.mul(dy, b.mul(y, y))),
  }),
  sin: unary("sin", "sine, x in radians", Math.sin, { grad: (b, x, _y, dy) => b.mul(dy, b.cos(x)) }),
  cos: unary("cos", "cosine, x in radians", Math.cos, { grad: (b, x, _y, dy) => b.neg(b.mul(dy, b.sin(x))) }),
  sigmoid: unary("sigmoid", "1 / (1 + e^(-x))", (x) => 1 / (1 + Math.exp(-x)), {
    grad: (b, _x, y, dy) => b.mul(dy, b.sub(y, b.mul(y, y))),
  }),
  floor: unary("floor", "largest integer not above x", Math.floor),
  ceil: unary("ceil", "smallest integer not below x", Math.ceil),
  round: unary("round", "nearest integer, ties to even", roundHalfEven),
  not: defineOp({
    name: "not",
    doc: "Logical negation.",
    operands: ["x"],
    attrs: {},
    traits: ["elementwise"],
    constraints: { C1: "x is bool" },
    infer: (cx) => {
      cx.require(cx.types[0]!.dtype === "bool", "C1", `${cx.types[0]!.dtype} is not bool`);
      return cx.types[0]!;
    },
    evaluate: (operands) => mapElements(operands, (x) => Number(x === 0)),
  }),
  add: binary("add", "x + y", (x, y) => x + y, { traits: ["commutative"], identity: 0 }),
  sub: binary("sub", "x - y", (x, y) => x - y, { identity: 0 }),
  mul: binary("mul", "x · y", (x, y) => x * y, { traits: ["commutative"], identity: 1, absorbing: 0 }),
  div: binary("div", "x / y; integers truncate towards zero", (x, y) => x / y, { identity: 1 }),
  pow: binary("pow", "x ^ y", (x, y) => x ** y, { identity: 1 }),
  max: binary("max", "the larger; NaN if either is", Math.max, { traits: ["commutative"] }),
  min: binary("min", "the smaller; NaN if either is", Math.min, { traits: ["commutative"] }),
  mod: binary("mod", "remainder with the sign of y", (x, y) => x - y * Math.floor(x / y)),
  equal: comparison("equal", "x = y", (x, y) => x === y, ["commutative"]),
  less: comparison("less", "x < y", (x, y) => x < y),
  lessEqual: comparison("lessEqual", "x ≤ y", (x, y) => x <= y),
  and: logic("and", "both", 0, (x, y) => x !== 0 && y !== 0),
  or: logic("or", "either", 1, (x, y) => x !== 0 || y !== 0),
  select: defineOp({
    name: "select",
    doc: "x where the condition holds, y elsewhere.",
    operands: ["condition", "x", "y"],
    attrs: {},
    traits: ["elementwise"],
    constraints: { C1: "x and y have one element type", C2: "shapes broadcast", C3: "the condition is bool" },
    infer: (cx) => {
      const [condition, x, y] = cx.types;
      cx.require(condition!.dtype === "bool", "C3", `${condition!.dtype} is not bool`);
      const value = broadcastAll(cx, [x!, y!]);
      return broadcastAll(cx, [value, { dtype: value.dtype, shape: condition!.shape }]);
    },
    evaluate: (operands) => mapElements(operands, (condition, x, y) => (condition !== 0 ? x : y)),
  }),
  cast: defineOp({
    name: "cast",
    doc: "The same numbers in another element type: floats to integers truncate, anything to bool is ≠ 0.",
    operands: ["x"],
    attrs: { to: attr("dtype", "element type of the result") },
    traits: ["elementwise"],
    constraints: {},
    infer: ({ types, attrs }) => ({ dtype: attrs.to, shape: types[0]!.shape }),
    evaluate: (operands, { attrs }) => {
      if (attrs.to === "bool") return mapElements(operands, (x) => Number(x !== 0));
      return isFloat(attrs.to) ? operands[0]! : mapElements(operands, Math.trunc);
    },
    cost: () => 0,
  }),
};

function roundHalfEven(x: number): number {
  const nearest = Math.round(x);
  return Math.abs(x % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}
