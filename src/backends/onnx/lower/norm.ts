import type { norm } from "../../../ir/ops/norm.ts";
import type { Emitter } from "./emitter.ts";
import type { LowerContext, Lowered, Lowerings } from "./lowering.ts";
import { float, int, type Ref } from "./ref.ts";

const last = int(-1);

/** RMSNormalization is of operator set 23. */
function rmsNormOf(e: Emitter, [x, scale]: readonly [Ref, Ref], epsilon: number): Ref | undefined {
  const { type } = x;
  const attributes = { axis: last, epsilon: float(epsilon) };
  if (e.target.opset >= 23) return e.op(type, "RMSNormalization", [x, scale], attributes);
  // The runtime keeps this one in the standard domain, where no checker but its own knows it.
  if (e.target.contrib && type.dtype !== "bf16")
    return e.op(type, "SimplifiedLayerNormalization", [x, scale], attributes);
  return undefined;
}

/**
 * `Sum` and the norm instead of SkipLayerNormalization and SkipSimplifiedLayerNormalization: on ONNX Runtime 1.30, CPU, at
 * 1,024 rows of 512, these take 4 and 1.3 times as long, with copies of the outputs in both (bench/norms.ts). The runtime's
 * own optimiser makes them of `Add` and a norm, but not of `Sum`, which takes three operands at once besides.
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

function skipRmsNorm({ e, operands, attrs, type }: LowerContext<"skipRmsNorm">): Lowered {
  const [x, skip, scale] = operands as [Ref, Ref, Ref];
  const sum = e.op(type, "Sum", [x, skip]);
  const norm = rmsNormOf(e, [sum, scale], attrs.epsilon);
  return norm && [norm, sum];
}

export const normLowerings: Lowerings<keyof typeof norm> = {
  layerNorm: ({ e, operands, attrs, type }) =>
    e.op(type, "LayerNormalization", operands, { axis: last, epsilon: float(attrs.epsilon) }),
  rmsNorm: ({ e, operands, attrs }) => rmsNormOf(e, operands as [Ref, Ref], attrs.epsilon),
  skipLayerNorm,
  skipRmsNorm,
};
