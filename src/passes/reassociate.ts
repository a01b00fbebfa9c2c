import type { Arena } from "../ir/arena.ts";
import { type Graph, type Node, nodesOf, type Uses, usesOf, type Value } from "../ir/graph.ts";
import { showOrder } from "./contraction-steps.ts";
import type { Pass, PassContext } from "./pass.ts";
import { buildOrder, labelSizes } from "./reassociate-build.ts";
import { type Choice, chooseOrder, showCost } from "./reassociate-choose.ts";
import { dispatchOrders } from "./reassociate-dispatch.ts";
import { flatten, isProduct, isScale, type Region } from "./reassociate-flatten.ts";
import { type Plan, planOf } from "./reassociate-plan.ts";
import { noteOf } from "./rewrite/report.ts";
import { substitute, withBranches } from "./rewrite/substitute.ts";

const rule = "reassociate";

/**
 * Flattens nested contractions, through scalings, transposes, and reshapes that relabel, and computes them in the
 * cheapest order. Weights count as known ahead: their products cost bytes, not FLOPs.
 */
export const reassociate: Pass = {
  name: "reassociate",
  doc: "Computes nested contractions in the cheapest order: (V·Kᵀ)·Q for V·(Kᵀ·Q) where sequences are long.",
  run: (graph, cx) => (cx.options.without.has(rule) ? graph : reassociateGraph(graph, cx)),
};

// Recursion is over nested branches only.
function reassociateGraph(graph: Graph, cx: PassContext): Graph {
  const nodes = nodesOf(graph);
  const uses = usesOf(graph);
  const replaced = new Map<Value, Value>();
  const absorbed = new Set<Node>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (node.op === "if") replaceBranches(node, cx, replaced);
    if (absorbed.has(node) || !(isProduct(node) || isScale(node))) continue;
    const region = flatten(node.results[0]!, uses, cx.arena);
    if (!region) continue;
    const better = reordered(region, uses, cx);
    // A scaling above a product must not keep the product from being looked at by itself.
    if (better !== "nothing nested") for (const inner of region.absorbed) absorbed.add(inner);
    if (typeof better !== "string") replaced.set(node.results[0]!, better);
  }
  return substitute(graph, replaced, cx.arena);
}

function replaceBranches(node: Node, cx: PassContext, replaced: Map<Value, Value>): void {
  const changed = withBranches(node, cx.arena, (branch) => reassociateGraph(branch, cx));
  if (changed !== node) node.results.forEach((value, i) => replaced.set(value, changed.results[i]!));
}

/** The region's root in a cheaper order; otherwise why there is none. */
function reordered(region: Region, uses: Uses, cx: PassContext): Value | "nothing nested" | "kept" {
  const { root } = region;
  const plan = planOf(region, uses);
  const factors = plan.terms.filter(({ axes }) => axes.some((axis) => axis.length > 0)).length;
  if (factors < 3) {
    for (const { reason, at } of region.blocked)
      if (isBlockedProduct(at)) cx.report.refused(rule, reason, noteOf(cx, at.node));
    return "nothing nested";
  }
  const choice = chooseOrder(plan, { dims: cx.dims, foldLimitBytes: cx.options.foldLimitBytes });
  describe(plan, choice, cx);
  const { best, written, values, other } = choice;
  const sizes = labelSizes(plan, values);
  if (cx.options.dispatch && other?.crossover.threshold !== undefined) {
    const { symbol, threshold, above } = other.crossover;
    const [long, short] = above ? [other.candidate.steps, best.steps] : [best.steps, other.candidate.steps];
    cx.report.fired("dispatch", 1, noteOf(cx, root.node));
    return dispatchOrders(plan, { symbol, threshold, long, short }, cx.arena, sizes);
  }
  if (best === written && plan.pairwise) {
    cx.report.refused(rule, "already the cheapest order", noteOf(cx, root.node));
    return "kept";
  }
  const result = buildOrder(plan, best.steps, cx.arena, sizes);
  if (result === root) return "kept";
  cx.report.fired(rule, 1, {
    ...noteOf(cx, root.node),
    detail: `${showCost(written.formula, cx.dims)} -> ${showCost(best.formula, cx.dims)}`,
  });
  return result;
}

/** Whether a product lies right below what stopped a region: then stopping mattered. */
const isBlockedProduct = (at: Value): boolean =>
  isProduct(at.node) || at.node.operands.some((operand) => isProduct(operand.node));

function describe(plan: Plan, { best, written, other, assumed }: Choice, cx: PassContext): void {
  const names = plan.terms.map(({ value }) => termName(value, cx.arena));
  const order = (steps: typeof best.steps) => showOrder(names, steps);
  const head = `${noteOf(cx, plan.root.node).value}: as written ${order(written.steps)} costs ${showCost(written.formula, cx.dims)} FLOPs`;
  const lines = [head];
  if (best !== written) lines.push(`reassociated ${order(best.steps)} costs ${showCost(best.formula, cx.dims)}`);
  if (other) {
    const { candidate, crossover } = other;
    const more = crossover.more ? ", up to a further change" : "";
    const isWritten = candidate.steps === written.steps;
    const what = isWritten ? "as written" : `${order(candidate.steps)}, ${showCost(candidate.formula, cx.dims)},`;
    lines.push(`${what} is cheaper where ${crossover.condition}${more}`);
  }
  if (best !== written || other) {
    if (other && assumed.size > 0)
      lines.push(`assumed ${[...assumed].map(([name, size]) => `${name} = ${size}`).join(", ")}`);
    cx.report.note(lines.join("; "));
  }
}

function termName(value: Value, arena: Arena): string {
  const name = arena.hintOf(value).name ?? value.node.attrs.get("name");
  return typeof name === "string" ? name : value.node.op;
}
