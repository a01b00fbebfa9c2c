import { optional } from "../attrs.ts";
import { mul } from "../dim.ts";
import type { Value } from "../graph.ts";
import { defineOp, type Emit } from "../op-def.ts";
import { sameShape, showType, volume } from "../types.ts";
import { floatSame } from "./shape-rules.ts";

const constraints = { C1: "x is floating point" };

/** x · Φ(x), Φ the normal distribution function: x/2 · (1 + erf(x/√2)). */
function exactGelu(b: Emit, x: Value): Value {
  const c = (value: number) => b.scalar(value, x.type.dtype);
  return b.mul(b.mul(x, b.add(b.erf(b.mul(x, c(Math.SQRT1_2))), c(1))), c(0.5));
}

/** x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))). */
function tanhGelu(b: Emit, x: Value): Value {
  const c = (value: number) => b.scalar(value, x.type.dtype);
  const inner = b.mul(b.add(x, b.mul(b.mul(b.mul(x, x), x), c(0.044715))), c(Math.sqrt(2 / Math.PI)));
  return b.mul(b.mul(x, b.add(b.tanh(inner), c(1))), c(0.5));
}

export const activation = {
  relu: defineOp({
    name: "relu",
    doc: "max(x, 0).",
    operands: ["x"],
    attrs: {},
    traits: ["elementwise", "composite"],
    constraints,
    infer: floatSame,
    decompose: (b, [x]) => b.max(x!, b.scalar(0, x!.type.dtype)),
  }),
  elu: defineOp({
    name: "elu",
    doc: "Exponential linear unit (Clevert et al., arXiv:1511.07289): x where x > 0, alpha · (e^x - 1) elsewhere.",
    operands: ["x"],
    attrs: { alpha: optional("float", "minus the value far below zero", 1) },
    traits: ["elementwise", "composite"],
    constraints,
    infer: (cx) => floatSame(cx),
    cost: ({ types }) => mul(4, volume(types[0]!)),
    decompose: (b, [x], { alpha }) => {
      const c = (value: number) => b.scalar(value, x!.type.dtype);
      // Positive x stay out of the exponential, which would overflow.
      const below = b.mul(b.sub(b.exp(b.min(x!, c(0))), c(1)), c(alpha));
      return b.select(b.less(c(0), x!), x!, below);
    },
  }),
  gelu: defineOp({
    name: "gelu",
    doc: "Gaussian error linear unit (Hendrycks & Gimpel, arXiv:1606.08415): x · Φ(x), or its tanh approximation.",
    operands: ["x"],
    attrs: { approximate: optional("string", '"none" for the exact form, "tanh" for the approximation', "none") },
    traits: ["elementwise", "composite"],
    constraints: { ...constraints, C2: 'approximate is "none" or "tanh"' },
    infer: (cx) => {
      const { approximate } = cx.attrs;
      cx.require(approximate === "none" || approximate === "tanh", "C2", `"${approximate}" is no approximation`);
      return floatSame(cx);
    },
    cost: ({ types, attrs }) => mul(attrs.approximate === "tanh" ? 9 : 5, volume(types[0]!)),
    decompose: (b, [x], { approximate }) => (approximate === "tanh" ? tanhGelu(b, x!) : exactGelu(b, x!)),
  }),
  silu: defineOp({
    name: "silu",
    doc: "x · sigmoid(x), also called swish.",
    operands: ["x"],
    attrs: {},
    traits: ["elementwise", "composite"],
    constraints,
    infer: floatSame,
    cost: ({ types }) => mul(2, volume(types[0]!)),
    decompose: (b, [x]) => b.mul(x!, b.sigmoid(x!)),
  }),
  biasGelu: defineOp({
    name: "biasGelu",
    doc: "gelu(x + bias), the bias along the last axis.",
    operands: ["x", "bias"],
    attrs: {},
    traits: ["composite"],
    constraints: { ...constraints, C2: "bias has the element type of x and one axis, the last of x" },
    infer: (cx) => {
      const [x, bias] = cx.types;
      const fits = bias!.dtype === x!.dtype && sameShape(bias!.shape, x!.shape.slice(-1));
      cx.require(fits, "C2", `${showType(bias!)} does not fit ${showType(x!)}`);
      return floatSame(cx);
    },
    cost: ({ types }) => mul(6, volume(types[0]!)),
    decompose: (b, [x, bias]) => exactGelu(b, b.add(x!, bias!)),
  }),
};
