import { optional } from "../attrs.ts";
import { mul } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { defineOp, type Emit, type InferContext } from "../op-def.ts";
import { sameShape, sameType, showType, type TensorType, volume } from "../types.ts";

const epsilon = { epsilon: optional("float", "added to the variance", 1e-5) };

const constraints = {
  C1: "x is floating point",
  C2: "scale and bias have the element type of x and one axis, the last of x",
};

function inferNorm(cx: InferContext<typeof epsilon>, gains: readonly (TensorType | undefined)[]): TensorType {
  const x = cx.types[0]!;
  cx.require(isFloat(x.dtype), "C1", `${x.dtype} is not floating point`);
  const expected = { dtype: x.dtype, shape: x.shape.slice(-1) };
  for (const gain of gains)
    if (gain) cx.require(sameType(gain, expected), "C2", `${showType(gain)} is not ${showType(expected)}`);
  return x;
}

function inferSkip(cx: InferContext<typeof epsilon>): readonly TensorType[] {
  const [x, skip, ...gains] = cx.types;
  cx.require(
    skip!.dtype === x!.dtype && sameShape(skip!.shape, x!.shape),
    "C3",
    `${showType(skip!)} is not ${showType(x!)}`,
  );
  const type = inferNorm(cx, gains);
  return [type, type];
}

/** (x - mean) / √(variance + ε) over the last axis. */
function normalised(b: Emit, x: Value, eps: number): Value {
  const last = { axes: [-1], keepDims: true };
  const centred = b.sub(x, b.reduceMean(x, last));
  const variance = b.reduceMean(b.mul(centred, centred), last);
  return b.div(centred, b.sqrt(b.add(variance, b.scalar(eps, x.type.dtype))));
}

/** x / √(mean x² + ε) over the last axis. */
function rootMeanSquared(b: Emit, x: Value, eps: number): Value {
  const meanSquare = b.reduceMean(b.mul(x, x), { axes: [-1], keepDims: true });
  return b.div(x, b.sqrt(b.add(meanSquare, b.scalar(eps, x.type.dtype))));
}

const affine = (b: Emit, x: Value, scale: Value, bias: Value | undefined) => {
  const scaled = b.mul(x, scale);
  return bias ? b.add(scaled, bias) : scaled;
};

const sumOf = (b: Emit, x: Value, skip: Value, inputBias: Value | undefined) => {
  const total = b.add(x, skip);
  return inputBias ? b.add(total, inputBias) : total;
};

export const norm = {
  layerNorm: defineOp({
    name: "layerNorm",
    doc: "Layer normalisation over the last axis (Ba et al., arXiv:1607.06450): (x - mean) / √(variance + ε) · scale + bias.",
    operands: ["x", "scale", "bias?"],
    attrs: epsilon,
    traits: ["composite"],
    constraints,
    infer: (cx) => inferNorm(cx, cx.types.slice(1)),
    cost: ({ types }) => mul(types.length > 2 ? 7 : 6, volume(types[0]!)),
    decompose: (b, [x, scale, bias], attrs) => affine(b, normalised(b, x!, attrs.epsilon), scale!, bias),
  }),
  rmsNorm: defineOp({
    name: "rmsNorm",
    doc: "Root-mean-square normalisation over the last axis (Zhang & Sennrich, arXiv:1910.07467): x / √(mean x² + ε) · scale.",
    operands: ["x", "scale"],
    attrs: epsilon,
    traits: ["composite"],
    constraints,
    infer: (cx) => inferNorm(cx, cx.types.slice(1)),
    cost: ({ types }) => mul(4, volume(types[0]!)),
    decompose: (b, [x, scale], attrs) => b.mul(rootMeanSquared(b, x!, attrs.epsilon), scale!),
  }),
  skipLayerNorm: defineOp({
    name: "skipLayerNorm",
    doc: "Add & Norm in one: layerNorm(x + skip + inputBias). The second result is the sum.",
    operands: ["x", "skip", "scale", "bias", "inputBias?"],
    attrs: epsilon,
    traits: ["composite"],
    constraints: { ...constraints, C3: "x and skip have one type" },
    infer: inferSkip,
    cost: ({ types }) => mul(types.length > 4 ? 9 : 8, volume(types[0]!)),
    decompose: (b, [x, skip, scale, bias, inputBias], attrs) => {
      const total = sumOf(b, x!, skip!, inputBias);
      return [affine(b, normalised(b, total, attrs.epsilon), scale!, bias), total];
    },
  }),
  skipRmsNorm: defineOp({
    name: "skipRmsNorm",
    doc: "Add & Norm in one: rmsNorm(x + skip). The second result is the sum.",
    operands: ["x", "skip", "scale"],
    attrs: epsilon,
    traits: ["composite"],
    constraints: { ...constraints, C3: "x and skip have one type" },
    infer: inferSkip,
    cost: ({ types }) => mul(5, volume(types[0]!)),
    decompose: (b, [x, skip, scale], attrs) => {
      const total = b.add(x!, skip!);
      return [b.mul(rootMeanSquared(b, total, attrs.epsilon), scale!), total];
    },
  }),
};
