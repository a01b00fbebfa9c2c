import { type Arena, attrsOf } from "../../ir/arena.ts";
import { lowest } from "../../ir/attend.ts";
import type { Value } from "../../ir/graph.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";
import { toFloat64 } from "../../ir/tensor.ts";
import type { Matcher } from "../rewrite/fuse.ts";
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

/** Biases that attentions are given, as files with operators for attention have them. */
export const biasAboveLowest: Matcher = {
  name: "attention-above-lowest",
  formula: "attention(q, k, v, bias) = attention(q, k, v, max(bias, -1e38))",
  roots: ["attention"],
  refuses: [],
  match(root, { arena }) {
    const operands = [...root.operands];
    const { bias } = attentionExtras(operands.slice(3), attrsOf(root, "attention").tables);
    const raised = bias && aboveLowest(bias, arena);
    if (!raised || raised === bias) return undefined;
    operands[operands.indexOf(bias)] = raised;
    return { values: arena.rebuild(root, operands).results, covered: [root] };
  },
};
