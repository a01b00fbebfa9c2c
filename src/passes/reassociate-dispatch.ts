import { type Arena, graphOf } from "../ir/arena.ts";
import { symbol } from "../ir/dim.ts";
import type { Graph, Value } from "../ir/graph.ts";
import type { Step } from "./contraction-order.ts";
import { buildOrder } from "./reassociate-build.ts";
import type { Plan } from "./reassociate-plan.ts";
import { isFoldable } from "./rewrite/scalar.ts";
import { substitute } from "./rewrite/substitute.ts";

/** Two orders of one plan, and the length above which the first is the cheaper. */
export interface Dispatch {
  readonly symbol: string;
  readonly threshold: number;
  readonly long: readonly Step[];
  readonly short: readonly Step[];
}

/**
 * Both orders behind `if` on the length at run time. The branches are closed: what they need comes in as captures.
 * Products of weights are captured too, so that they are computed before the run, not in a branch.
 */
export function dispatchOrders(plan: Plan, choice: Dispatch, arena: Arena, sizes: ReadonlyMap<string, number>): Value {
  const { build } = arena;
  const long = buildOrder(plan, choice.long, arena, sizes);
  const short = buildOrder(plan, choice.short, arena, sizes);
  const captures = capturesOf(plan, [long, short]);
  const inputs = captures.map(({ type }, i) => build.input({ name: `captured.${i}`, ...type }));
  const whenTrue = outlined("long", long, captures, inputs, arena);
  const whenFalse = outlined("short", short, captures, inputs, arena);
  const condition = build.less(build.scalar(choice.threshold, "i64"), build.size({ of: symbol(choice.symbol) }));
  return arena.node("if", [condition, ...captures], { whenTrue, whenFalse }).results[0]!;
}

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

/** The graph of a branch: captures replaced by its inputs. */
function outlined(
  name: string,
  root: Value,
  captures: readonly Value[],
  inputs: readonly Value[],
  arena: Arena,
): Graph {
  const given = new Map(captures.map((value, i) => [value, inputs[i]!]));
  return substitute(graphOf(name, inputs, [["result", root]]), given, arena);
}
