import { type Graph, nodesOf, type Value } from "../ir/graph.ts";
import { hasFormulas } from "../ir/ops/attention.ts";
import { canonicaliseRules } from "./canonicalise.ts";
import { lowered } from "./mask/choose.ts";
import type { Pass, PassContext } from "./pass.ts";
import { normalise } from "./rewrite/normalise.ts";
import { silent } from "./rewrite/report.ts";
import { substitute } from "./rewrite/substitute.ts";

function run(graph: Graph, cx: PassContext): Graph {
  const replaced = new Map<Value, Value>();
  for (const node of nodesOf(graph)) {
    if (node.op !== "attention" || !(hasFormulas(node) || node.attrs.get("causal") === true)) continue;
    const [value] = node.results;
    const other = lowered(node, cx);
    if (other !== value) replaced.set(value!, other);
  }
  if (replaced.size === 0) return graph;
  return normalise(substitute(graph, replaced, cx.arena), canonicaliseRules, silent(cx));
}

/** Needs a canonical graph; leaves one. */
export const mask: Pass = {
  name: "mask",
  doc: "Attention is computed for the keys its mask lets through: in bands, blocks or parts where that takes less time than all of it.",
  run,
};
