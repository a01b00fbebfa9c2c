import type { Arena } from "../../ir/arena.ts";
import { lowest } from "../../ir/attend.ts";
import type { Value } from "../../ir/graph.ts";
import { toFloat64 } from "../../ir/tensor.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";
import { swallows } from "./depths.ts";

const moves: ReadonlySet<string> = new Set(["reshape", "transpose", "broadcast", "slice", "add"]);

/**
 * A bias that weighs keys as this one does, and is nowhere the lowest number of its type, where it is given or made with
 * that: a row of nothing else weighs all its keys alike, but ONNX Runtime's `Attention` makes it zero.
 */
export function aboveLowest(bias: Value, arena: Arena): Value {
  const { node, type } = bias;
  const least = lowest[type.dtype];
  if (least === undefined || !(least < swallows)) return bias;
  const b = arena.build;
  const isLowest = (value: Value): boolean => (scalarOf(value) ?? 0) <= least && scalarOf(value) !== -Infinity;
  const tensor = tensorOf(bias);
  const isMade = tensor
    ? toFloat64(tensor).includes(least)
    : node.op === "input" || (node.op === "mul" && node.operands.some(isLowest));
  if (isMade) return b.max(bias, b.scalar(swallows, type.dtype));
  const [first, ...rest] = node.operands;
  if (node.op === "select") {
    const [yes, no] = rest.map((value) =>
      isLowest(value) ? b.scalar(swallows, type.dtype) : aboveLowest(value, arena),
    );
    return yes === rest[0] && no === rest[1] ? bias : b.select(first!, yes!, no!);
  }
  if (!moves.has(node.op)) return bias;
  const raised = node.operands.map((value) => aboveLowest(value, arena));
  return arena.rebuild(node, raised).results[0]!;
}
