import type { norm } from "../../../ir/ops/norm.ts";
import { contribDomain } from "./emitter.ts";
import type { LowerContext, Lowered, Lowerings } from "./lowering.ts";
import { float, int } from "./ref.ts";

const last = int(-1);

function rmsNorm({ e, operands, attrs, type }: LowerContext<"rmsNorm">): Lowered {
  const attributes = { axis: last, epsilon: float(attrs.epsilon) };
  if (e.target.opset >= 23) return e.op(type, "RMSNormalization", operands, attributes);
  // The runtime keeps this one in the standard domain, where no checker but its own knows it.
  if (e.target.contrib && type.dtype !== "bf16")
    return e.op(type, "SimplifiedLayerNormalization", operands, attributes);
  return undefined;
}

/**
 * `Sum` and LayerNormalization instead of SkipLayerNormalization, on every target: on ONNX Runtime 1.30, CPU, a layer of
 * width 64 takes 0.124 instead of 0.152 ms at length 64, 0.046 instead of 0.051 ms at length 16. `Sum` takes three
 * operands at once, and the runtime's optimiser does not join it with the norm as it does `Add`.
 */
function skipLayerNorm({ e, operands, attrs, type }: LowerContext<"skipLayerNorm">): Lowered {
  const [x, skip, scale, bias, inputBias] = operands;
  const sum = e.op(
    type,
    "Sum",
    [x, skip, inputBias].filter((each) => each !== undefined),
  );
  const attributes = { axis: last, epsilon: float(attrs.epsilon) };
  return [e.op(type, "LayerNormalization", [sum, scale, bias], attributes), sum];
}

/** The kernel takes rank 2 and 3 only. The sum is asked for where something needs it. */
function skipRmsNorm({ e, node, operands, attrs, type }: LowerContext<"skipRmsNorm">): Lowered {
  const rank = type.shape.length;
  const fits = (type.dtype === "f32" || type.dtype === "f16") && (rank === 2 || rank === 3);
  if (!e.target.contrib || !fits) return undefined;
  const types = e.isUsed(node.results[1]!) ? [type, undefined, undefined, type] : [type];
  const outputs = e.ops(
    types,
    "SkipSimplifiedLayerNormalization",
    operands,
    { epsilon: float(attrs.epsilon) },
    contribDomain,
  );
  return [outputs[0], outputs[3]];
}

export const normLowerings: Lowerings<keyof typeof norm> = {
  layerNorm: ({ e, operands, attrs, type }) =>
    e.op(type, "LayerNormalization", operands, { axis: last, epsilon: float(attrs.epsilon) }),
  rmsNorm,
  skipLayerNorm,
  skipRmsNorm,
};
