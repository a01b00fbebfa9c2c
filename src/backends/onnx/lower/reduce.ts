import type { DType } from "../../../ir/dtype.ts";
import type { reduce } from "../../../ir/ops/reduce.ts";
import type { TensorType } from "../../../ir/types.ts";
import { axisFromFirst } from "../../../ir/types.ts";
import type { Emitter } from "./emitter.ts";
import { type LowerContext, type Lowering, type Lowerings, widened } from "./lowering.ts";
import { int, ints, type Ref } from "./ref.ts";

type Reduction = "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceMean";

/** The version from which the axes are an operand; before it they are an attribute. */
const axesOperandSince: Record<Reduction, number> = { ReduceSum: 13, ReduceMax: 18, ReduceMin: 18, ReduceMean: 18 };

/** `x` reduced along `axes` (counted from 0); `x` itself where there are none. */
export function reduceTo(
  e: Emitter,
  opType: Reduction,
  x: Ref,
  axes: readonly number[],
  keepDims: boolean,
  type: TensorType,
): Ref {
  if (axes.length === 0) return x;
  const keepdims = int(keepDims ? 1 : 0);
  if (e.target.opset >= axesOperandSince[opType]) return e.op(type, opType, [x, e.indices(axes)], { keepdims });
  return e.op(type, opType, [x], { axes: ints(axes), keepdims });
}

function reduction<K extends Exclude<keyof typeof reduce, "cumsum">>(opType: Reduction): Lowering<K> {
  return ({ e, operands, attrs, type }: LowerContext<K>) => {
    const [x] = operands;
    const axes = attrs.axes.map((axis) => axisFromFirst(axis, x!.type.shape.length)).sort((a, b) => a - b);
    const narrow = type.dtype === "i8" || type.dtype === "u8";
    const compute = (from: Ref, to: TensorType) => reduceTo(e, opType, from, axes, attrs.keepDims, to);
    return narrow ? widened(e, operands, type, "i32", ([wide], to) => compute(wide!, to)) : compute(x!, type);
  };
}

/** The runtime sums f32, f64, i32 and i64; the rest in the nearest of these. */
const wideSums: Readonly<Partial<Record<DType, DType>>> = { i8: "i32", u8: "i32", f16: "f32", bf16: "f32" };

function cumsum({ e, operands, attrs, type }: LowerContext<"cumsum">): Ref {
  const axis = e.scalar("i64", axisFromFirst(attrs.axis, type.shape.length));
  const flags = { exclusive: attrs.exclusive ? int(1) : undefined, reverse: attrs.reverse ? int(1) : undefined };
  return widened(e, operands, type, wideSums[type.dtype] ?? type.dtype, ([x], to) =>
    e.op(to, "CumSum", [x!, axis], flags),
  );
}

export const reduceLowerings: Lowerings<keyof typeof reduce> = {
  reduceSum: reduction("ReduceSum"),
  reduceMax: reduction("ReduceMax"),
  reduceMin: reduction("ReduceMin"),
  reduceMean: reduction("ReduceMean"),
  cumsum,
};
