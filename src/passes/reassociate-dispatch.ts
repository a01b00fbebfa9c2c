import type { Arena } from "../ir/arena.ts";
import { symbol } from "../ir/dim.ts";
import type { Graph, Value } from "../ir/graph.ts";
import { type Crossover, priced } from "./crossover.ts";
import { buildOrder } from "./reassociate-build.ts";
import type { Candidate } from "./reassociate-choose.ts";
import type { Plan } from "./reassociate-plan.ts";
import { isFoldable } from "./rewrite/foldable.ts";
import { outlined } from "./rewrite/outline.ts";

/** Two orders of one plan, and where the other one becomes the cheaper. */
export interface Dispatch {
  readonly best: Candidate;
  readonly other: Candidate;
  readonly crossover: Crossover;
}

/**
 * Both orders behind `if` on the length at run time: compared with the threshold, or both costs compared where the
 * threshold itself depends on lengths. The branches are closed: what they need comes in as captures. Products of weights
 * are captured too, so that they are computed before the run, not in a branch.
 */
export function dispatchOrders(plan: Plan, choice: Dispatch, arena: Arena, sizes: ReadonlyMap<string, number>): Value {
  const { build } = arena;
  const best = buildOrder(plan, choice.best.steps, arena, sizes);
  const other = buildOrder(plan, choice.other.steps, arena, sizes);
  const captures = capturesOf(plan, [best, other]);
  const inputs = captures.map(({ type }, i) => build.input({ name: `captured.${i}`, ...type }));
  const branches = [best, other].map((root, i) =>
    outlined(i === 0 ? "usual" : "other", root, captures, inputs, arena),
  ) as [Graph, Graph];
  const { symbol: name, threshold, above } = choice.crossover;
  const [whenFalse, whenTrue] = threshold === undefined || above ? branches : [branches[1], branches[0]];
  const condition =
    threshold === undefined
      ? build.less(build.size({ of: weighed(choice.other) }), build.size({ of: weighed(choice.best) }))
      : build.less(build.scalar(threshold, "i64"), build.size({ of: symbol(name) }));
  return arena.node("if", [condition, ...captures], { whenTrue, whenFalse }).results[0]!;
}

const weighed = ({ formula, price }: Candidate) => priced(formula, price);

/** What the values are computed from: terms of the plan, and computed weights; parameters and constants may be reached. */
function capturesOf(plan: Plan, roots: readonly Value[]): readonly Value[] {
  const ends = new Set([...plan.terms.map(({ value }) => value), ...plan.scalars]);
  const captures = new Set<Value>();
  const seen = new Set<Value>();
  const stack = [...roots].reverse();
  for (let value = stack.pop(); value; value = stack.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    const foldable = isFoldable(value);
    if (foldable && value.node.operands.length === 0) continue;
    if (foldable || ends.has(value)) captures.add(value);
    else stack.push(...[...value.node.operands].reverse());
  }
  return [...captures];
}
