import type { Arena } from "../ir/arena.ts";
import { symbol } from "../ir/dim.ts";
import type { Graph, Value } from "../ir/graph.ts";
import { type Crossover, priced } from "./crossover.ts";
import { buildOrder } from "./reassociate-build.ts";
import type { Candidate } from "./reassociate-choose.ts";
import type { Plan } from "./reassociate-plan.ts";
import { capturesOf, outliner } from "./rewrite/outline.ts";

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
  const ends = new Set([...plan.terms.map(({ value }) => value), ...plan.scalars]);
  const captures = capturesOf([best, other], ends);
  const outline = outliner(arena, captures);
  const branches: [Graph, Graph] = [outline("usual", best), outline("other", other)];
  const { symbol: name, threshold, above } = choice.crossover;
  const [whenFalse, whenTrue] = threshold === undefined || above ? branches : [branches[1], branches[0]];
  const condition =
    threshold === undefined
      ? build.less(build.size({ of: weighed(choice.other) }), build.size({ of: weighed(choice.best) }))
      : build.less(build.scalar(threshold, "i64"), build.size({ of: symbol(name) }));
  return arena.node("if", [condition, ...captures], { whenTrue, whenFalse }).results[0]!;
}

const weighed = ({ formula, price }: Candidate) => priced(formula, price);
