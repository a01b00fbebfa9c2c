import { specOf } from "../../ir/contraction.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { isFoldable } from "../rewrite/foldable.ts";

/** A product of something computed at run time with a weight: what `linear` makes. */
export interface Linear {
  readonly node: Node;
  readonly x: Value;
  readonly weight: Value;
  readonly xLabels: readonly string[];
  readonly weightLabels: readonly string[];
  readonly result: readonly string[];
  /** Which operand the weight is. */
  readonly at: number;
}

/** Reads a node as a projection; undefined where it is none. */
export function linearOf(node: Node): Linear | undefined {
  if (node.op !== "contract" || node.operands.length !== 2) return undefined;
  const at = node.operands.findIndex(isFoldable);
  const other = node.operands[1 - at];
  if (at < 0 || !other || isFoldable(other)) return undefined;
  const spec = specOf(node);
  return {
    node,
    x: other,
    weight: node.operands[at]!,
    xLabels: spec.operands[1 - at]!,
    weightLabels: spec.operands[at]!,
    result: spec.result,
    at,
  };
}

/** The projection and the bias added to it, where one is. */
export function biasedOf(value: Value): { readonly linear: Linear; readonly bias?: Value } | undefined {
  const plain = linearOf(value.node);
  if (plain) return { linear: plain };
  if (value.node.op !== "add") return undefined;
  for (const [i, side] of value.node.operands.entries()) {
    const linear = linearOf(side.node);
    const bias = value.node.operands[1 - i]!;
    if (linear && isFoldable(bias) && bias.type.shape.length <= side.type.shape.length) return { linear, bias };
  }
  return undefined;
}
