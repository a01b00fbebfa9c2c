import type { Arena } from "../../ir/arena.ts";
import { lowest } from "../../ir/attend.ts";
import type { Value } from "../../ir/graph.ts";
import { toFloat64 } from "../../ir/tensor.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";
import { swallows } from "./depths.ts";

const moves: ReadonlySet<string> = new Set(["reshape", "transpose", "broadcast", "slice", "add"]);

/** Sums of sums are followed so far. */
const mostSteps = 16;

/**
 * A bias that weighs keys as this one does, and is nowhere the lowest number of its type, where it is given or made with
 * that: a row of nothing else weighs all its keys alike, but ONNX Runtime's `Attention` makes it zero.
 */
export function aboveLowest(bias: Value, arena: Arena, steps = mostSteps): Value {
  const { node, type } = bias;
  const least = lowest[type.dtype];
  if (least === undefined || !(least < swallows) || steps === 0) return bias;
  const b = arena.build;
  const deep = b.scalar(swallows, type.dtype);
  const isLowest = (value: Value): boolean => scalarOf(value) === least;
  const tensor = tensorOf(bias);
  const isMade = tensor
    ? toFloat64(tensor).includes(least)
    : node.op === "input" || (node.op === "mul" && node.operands.some(isLowest));
  if (isMade) return b.max(bias, deep);
  const raised = (value: Value): Value => (isLowest(value) ? deep : aboveLowest(value, arena, steps - 1));
  const [first, ...rest] = node.operands;
  if (node.op === "select") return arena.rebuild(node, [first!, ...rest.map(raised)]).results[0]!;
  return moves.has(node.op) ? arena.rebuild(node, node.operands.map(raised)).results[0]! : bias;
}
