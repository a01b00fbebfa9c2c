import type { Arena } from "../ir/arena.ts";
import { holdsGraphs } from "../ir/cost.ts";
import { type Graph, type Node, nodesOf, type Uses, usesOf, type Value } from "../ir/graph.ts";
import { showOrder } from "./contraction-steps.ts";
import type { Crossover } from "./crossover.ts";
import type { Pass, PassContext } from "./pass.ts";
import { buildOrder, labelSizes } from "./reassociate-build.ts";
import { type Choice, chooseOrder, showCost } from "./reassociate-choose.ts";
import { dispatchOrders } from "./reassociate-dispatch.ts";
import { flatten, isProduct, isScale, type Region, regionLimit } from "./reassociate-flatten.ts";
import { type Plan, planOf } from "./reassociate-plan.ts";
import { noteOf } from "./rewrite/report.ts";
import { substitute, withBranches } from "./rewrite/substitute.ts";

const rule = "reassociate";

/** Products in a graph above which regions are searched in halves, to keep the time within bounds. */
const manyProducts = 600;

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
  const names = new Map(graph.outputs.map(({ name, value }) => [value, name]));
  const quick = nodes.filter(isProduct).length > manyProducts;
  const limit = quick ? regionLimit / 2 : regionLimit;
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (holdsGraphs(node)) replaceBranches(node, cx, replaced);
    if (absorbed.has(node) || !(isProduct(node) || isScale(node))) continue;
    const region = flatten(node.results[0]!, uses, cx.arena, limit);
    if (!region) continue;
    // What is inside of a region is nested less than the region: nothing more is to be found there.
    for (const inner of region.absorbed) absorbed.add(inner);
    const better = reordered(region, uses, cx, { quick, output: names.get(region.root) });
    if (better) replaced.set(node.results[0]!, better);
  }
  return substitute(graph, replaced, cx.arena);
}

function replaceBranches(node: Node, cx: PassContext, replaced: Map<Value, Value>): void {
  const changed = withBranches(node, cx.arena, (branch) => reassociateGraph(branch, cx));
  if (changed !== node) node.results.forEach((value, i) => replaced.set(value, changed.results[i]!));
}

interface About {
  /** Whether there are too many products to look long at each. */
  readonly quick: boolean;
  /** What the region's root is called among the outputs. */
  readonly output: string | undefined;
}

/** The region's root in a cheaper order; undefined where there is none. */
function reordered(region: Region, uses: Uses, cx: PassContext, { quick, output }: About): Value | undefined {
  const { root } = region;
  if (region.terms.filter(({ axes }) => axes.some((axis) => axis.length > 0)).length < 3) {
    for (const { reason, at } of region.blocked)
      if (isBlockedProduct(at)) cx.report.refused(rule, reason, noteOf(cx, at.node));
    return undefined;
  }
  const plan = planOf(region, uses);
  const choice = chooseOrder(plan, {
    dims: cx.dims,
    foldLimitBytes: cx.options.foldLimitBytes,
    quick: quick && !cx.options.dispatch,
  });
  describe(plan, choice, cx, cx.arena.hintOf(root).name ?? output ?? root.node.op);
  const { best, written, values, other } = choice;
  const sizes = labelSizes(plan, values);
  if (cx.options.dispatch && other) {
    if (!cx.options.allows("dispatch", root.node)) return undefined;
    cx.report.fired("dispatch", 1, noteOf(cx, root.node));
    return dispatchOrders(plan, { best, other: other.candidate, crossover: other.crossover }, cx.arena, sizes);
  }
  if (best === written && plan.pairwise) {
    cx.report.refused(rule, "already the cheapest order", noteOf(cx, root.node));
    return undefined;
  }
  const result = buildOrder(plan, best.steps, cx.arena, sizes);
  if (result === root || !cx.options.allows(rule, root.node)) return undefined;
  cx.report.fired(rule, 1, {
    ...noteOf(cx, root.node),
    detail: `${showCost(written.formula, cx.dims)} -> ${showCost(best.formula, cx.dims)}`,
  });
  return result;
}

/** Whether a product lies right below what stopped a region: then stopping mattered. */
const isBlockedProduct = (at: Value): boolean =>
  isProduct(at.node) || at.node.operands.some((operand) => isProduct(operand.node));

function describe(
  plan: Plan,
  { best, written, other, sinceWritten, assumed }: Choice,
  cx: PassContext,
  name: string,
): void {
  const names = plan.terms.map(({ value }) => termName(value, cx.arena));
  const order = (steps: typeof best.steps) => showOrder(names, steps);
  const cost = ({ formula }: typeof best) => `${showCost(formula, cx.dims)} FLOPs`;
  const head = `${name}: as written, ${order(written.steps)}, ${cost(written)}`;
  const lines = [head];
  if (best !== written) {
    const since = sinceWritten ? `, cheaper where ${showCrossover(sinceWritten)}` : "";
    lines.push(`reassociated, ${order(best.steps)}, ${cost(best)}${since}`);
  }
  if (other && !(other.candidate.formula === written.formula && sinceWritten)) {
    const what = `${order(other.candidate.steps)}, ${cost(other.candidate)}`;
    lines.push(`${what}, cheaper where ${showCrossover(other.crossover)}`);
  }
  if (assumed.size > 0 && other)
    lines.push(`assumed ${[...assumed].map(([length, size]) => `${length} = ${size}`).join(", ")}`);
  if (best !== written || other) cx.report.note(lines.join("; "));
}

const showCrossover = ({ condition, at, more }: Crossover): string =>
  `${condition}${at === undefined ? "" : ` (${at})`}${more ? ", up to a further change" : ""}`;

function termName(value: Value, arena: Arena): string {
  const name = arena.hintOf(value).name ?? value.node.attrs.get("name");
  return typeof name === "string" ? name : value.node.op;
}
