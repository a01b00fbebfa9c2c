import type { norm } from "../../../ir/ops/norm.ts";
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

/** The kernels take rank 3 or 2 only. The sum is asked for where something needs it. */
function skip(opType: string) {
  return ({ e, node, operands, attrs, type }: LowerContext<"skipLayerNorm" | "skipRmsNorm">): Lowered => {
    const rank = type.shape.length;
    if (!e.target.contrib || (type.dtype !== "f32" && type.dtype !== "f16") || (rank !== 2 && rank !== 3))
      return undefined;
    const sum = e.isUsed(node.results[1]!) ? type : undefined;
    const types = sum ? [type, undefined, undefined, sum] : [type];
    const outputs = e.ops(types, opType, operands, { epsilon: float(attrs.epsilon) }, "com.microsoft");
    return [outputs[0], outputs[3]];
  };
}

export const normLowerings: Lowerings<keyof typeof norm> = {
  layerNorm: ({ e, operands, attrs, type }) =>
    e.op(type, "LayerNormalization", operands, { axis: last, epsilon: float(attrs.epsilon) }),
  rmsNorm,
  skipLayerNorm: skip("SkipLayerNormalization"),
  skipRmsNorm: skip("SkipSimplifiedLayerNormalization"),
};
