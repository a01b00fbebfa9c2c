import type { activation } from "../../../ir/ops/activation.ts";
import type { softmax } from "../../../ir/ops/softmax.ts";
import type { LowerContext, Lowered, Lowering, Lowerings } from "./lowering.ts";
import { float, int, text } from "./ref.ts";

function gelu({ e, operands, attrs, type }: LowerContext<"gelu">): Lowered {
  const tanh = attrs.approximate === "tanh";
  // The runtime spells it out with an f64 erf it does not have.
  if (type.dtype === "f64") return undefined;
  if (e.target.opset >= 20) return e.op(type, "Gelu", operands, tanh ? { approximate: text("tanh") } : {});
  if (!e.target.contrib || type.dtype !== "f32") return undefined;
  // Its kernel wants an axis.
  if (tanh && type.shape.length === 0) return undefined;
  return e.contrib(type, tanh ? "FastGelu" : "Gelu", operands);
}

function silu({ e, operands, type }: LowerContext<"silu">): Lowered {
  if (e.target.contrib && type.dtype === "f32") return e.contrib(type, "QuickGelu", operands, { alpha: float(1) });
  return e.target.opset >= 24 ? e.op(type, "Swish", operands) : undefined;
}

function biasGelu({ e, operands, type }: LowerContext<"biasGelu">): Lowered {
  return e.target.contrib && type.dtype === "f32" ? e.contrib(type, "BiasGelu", operands) : undefined;
}

const along =
  <K extends keyof typeof softmax>(opType: string): Lowering<K> =>
  ({ e, operands, attrs, type }: LowerContext<K>) =>
    e.op(type, opType, operands, { axis: int(attrs.axis) });

export const activationLowerings: Lowerings<keyof typeof activation | keyof typeof softmax> = {
  relu: ({ e, operands, type }) => e.op(type, "Relu", operands),
  // In f64 the runtime has no kernel.
  elu: ({ e, operands, attrs, type }) =>
    type.dtype === "f64" ? undefined : e.op(type, "Elu", operands, { alpha: float(attrs.alpha) }),
  gelu,
  silu,
  biasGelu,
  softmax: along("Softmax"),
  logSoftmax: along("LogSoftmax"),
};
