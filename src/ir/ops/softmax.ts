import { optional } from "../attrs.ts";
import { mul } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import { defineOp, type InferContext } from "../op-def.ts";
import { type TensorType, volume } from "../types.ts";
import { axisIn } from "./shape-rules.ts";

const attrs = { axis: optional("int", "axis to normalise over", -1) };
const constraints = { C1: "x is floating point", C2: "axis is within the rank" };

function infer({ types, attrs: { axis }, require }: InferContext<typeof attrs>): TensorType {
  const x = types[0]!;
  require(isFloat(x.dtype), "C1", `${x.dtype} is not floating point`);
  require(axisIn(axis, x.shape.length) !== undefined, "C2", `axis ${axis} does not fit rank ${x.shape.length}`);
  return x;
}

export const softmax = {
  softmax: defineOp({
    name: "softmax",
    doc: "Normalised exponentials along `axis`: exp(x - max x) / Σ exp(x - max x).",
    operands: ["x"],
    attrs,
    traits: ["composite"],
    constraints,
    infer,
    cost: ({ types }) => mul(5, volume(types[0]!)),
    decompose: (b, [x], { axis }) => {
      const along = { axes: [axis], keepDims: true };
      const e = b.exp(b.sub(x!, b.reduceMax(x!, along)));
      return b.div(e, b.reduceSum(e, along));
    },
    // dx = y · (dy - Σ dy·y)
    grad: (b, { results: [y], dy, attrs: { axis } }) => [
      b.mul(y!, b.sub(dy, b.reduceSum(b.mul(dy, y!), { axes: [axis], keepDims: true }))),
    ],
  }),
  logSoftmax: defineOp({
    name: "logSoftmax",
    doc: "Logarithm of softmax along `axis`: x - max x - ln Σ exp(x - max x).",
    operands: ["x"],
    attrs,
    traits: ["composite"],
    constraints,
    infer,
    cost: ({ types }) => mul(5, volume(types[0]!)),
    decompose: (b, [x], { axis }) => {
      const along = { axes: [axis], keepDims: true };
      const shifted = b.sub(x!, b.reduceMax(x!, along));
      return b.sub(shifted, b.log(b.reduceSum(b.exp(shifted), along)));
    },
  }),
};
