import type { Build } from "../ir/arena.ts";
import { attentionShapes } from "../ir/attend.ts";
import { type Graph, type Node, nodesOf, useCount, usesOf, type Value } from "../ir/graph.ts";
import { hasFormulas } from "../ir/ops/attention.ts";
import { lengthLimits } from "../ir/table-sizes.ts";
import type { TensorType } from "../ir/types.ts";
import { unseenOf } from "./attention/unseen.ts";
import { canonicaliseRules } from "./canonicalise.ts";
import { lowered, numbersOf } from "./mask/choose.ts";
import { tooManyScores } from "./mask/estimate.ts";
import type { Unseen } from "./mask/problem.ts";
import type { Pass, PassContext } from "./pass.ts";
import { normalise } from "./rewrite/normalise.ts";
import { silent } from "./rewrite/report.ts";
import { substitute } from "./rewrite/substitute.ts";

function run(graph: Graph, cx: PassContext): Graph {
  const replaced = new Map<Value, Value>();
  const limits = lengthLimits(graph);
  const sums = sumsOfUnseen(graph, cx.arena.build);
  for (const node of nodesOf(graph)) {
    if (node.op !== "attention" || !isWorthALook(node, cx)) continue;
    const whole = sums.get(node);
    const value = whole?.sum ?? node.results[0]!;
    const { form, value: other } = lowered(node, whole, limits, cx);
    if (other !== value && cx.options.allows(form, node)) replaced.set(value, other);
  }
  if (replaced.size === 0) return graph;
  return normalise(substitute(graph, replaced, cx.arena), canonicaliseRules, silent(cx));
}

/** The attentions to which the mean of the values is added in rows that see nothing, and that are needed for nothing else. */
function sumsOfUnseen(graph: Graph, b: Build): ReadonlyMap<Node, Unseen & { readonly sum: Value }> {
  const found = new Map<Node, Unseen & { readonly sum: Value }>();
  const uses = usesOf(graph);
  for (const { op, operands, results } of nodesOf(graph))
    for (const [attended, means] of op === "add" ? [operands, operands.toReversed()] : []) {
      const isAlone = attended!.node.op === "attention" && useCount(uses, attended!) === 1;
      const rows = isAlone ? unseenOf(b, attended!.node, means!) : undefined;
      if (rows) found.set(attended!.node, { rows, means: means!, sum: results[0]! });
    }
  return found;
}

/** Whether some keys may be spared, or all scores at once are too many. */
function isWorthALook(node: Node, { dims }: PassContext): boolean {
  const [q, k, v] = node.operands.map(({ type }) => type) as [TensorType, TensorType, TensorType];
  const sizes = attentionShapes(q, k, v);
  const numbers = numbersOf(sizes, dims);
  if (numbers && Object.values(numbers).includes(0)) return false;
  if (hasFormulas(node) || node.attrs.get("causal") === true) return true;
  return numbers !== undefined && tooManyScores({ sizes }, numbers);
}

/** Needs a canonical graph; leaves one. */
export const mask: Pass = {
  name: "mask",
  doc: "Attention is computed for the keys its mask lets through: in bands, blocks or parts where that takes less time than all of it.",
  run,
};
