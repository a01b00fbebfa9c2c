import { attrRecord } from "../../../ir/arena.ts";
import type { Attrs } from "../../../ir/attrs.ts";
import type { DType } from "../../../ir/dtype.ts";
import type { Node } from "../../../ir/graph.ts";
import type { OpName, ops } from "../../../ir/ops/index.ts";
import type { TensorType } from "../../../ir/types.ts";
import type { Emitter } from "./emitter.ts";
import { int, type Ref } from "./ref.ts";

/** What a lowering sees: the node, its operands as ONNX tensors, its attributes and result types. */
export interface LowerContext<K extends OpName> {
  readonly e: Emitter;
  readonly node: Node;
  readonly operands: readonly Ref[];
  readonly attrs: Attrs<(typeof ops)[K]["attrs"]>;
  /** Type of the first result. */
  readonly type: TensorType;
}

/** What a lowering gives: one tensor per result, or undefined where target or types have no operator for the composite. */
export type Lowered = Ref | readonly (Ref | undefined)[] | undefined;
export type Lowering<K extends OpName> = (cx: LowerContext<K>) => Lowered;
export type Lowerings<K extends OpName = OpName> = { readonly [N in K]: Lowering<N> };

export const lowerContext = <K extends OpName>(e: Emitter, node: Node): LowerContext<K> => ({
  e,
  node,
  operands: node.operands.map((value) => e.ref(value)),
  attrs: attrRecord<(typeof ops)[K]["attrs"]>(node),
  type: node.results[0]!.type,
});

/** The codes `Cast` names element types by. */
const castCodes: Record<DType, number> = {
  f32: 1,
  u8: 2,
  i8: 3,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  bf16: 16,
};

/** `x` in another element type; `x` itself where it has it. */
export const cast = (e: Emitter, x: Ref, to: DType): Ref =>
  x.type.dtype === to ? x : e.op({ dtype: to, shape: x.type.shape }, "Cast", [x], { to: int(castCodes[to]) });

/** Computes in `dtype` and converts back, for element types the runtime has no kernel of. */
export function widened(
  e: Emitter,
  operands: readonly Ref[],
  type: TensorType,
  dtype: DType,
  compute: (operands: readonly Ref[], type: TensorType) => Ref,
): Ref {
  const wide = compute(
    operands.map((x) => cast(e, x, dtype)),
    { dtype: type.dtype === "bool" ? "bool" : dtype, shape: type.shape },
  );
  return cast(e, wide, type.dtype);
}
