import { networkCost, type OrderCost } from "./contraction-cost.ts";
import { exactLimit, exactOrder } from "./contraction-exact.ts";
import { heuristicOrder } from "./contraction-greedy.ts";
import { networkOf, type OrderProblem, type Step } from "./contraction-network.ts";

export type { OrderCost } from "./contraction-cost.ts";
export { exactLimit } from "./contraction-exact.ts";
export { flopsPerByte, type Measure, type OrderProblem, type Step } from "./contraction-network.ts";

/** A pairwise order and what it costs. */
export interface ContractionOrder extends OrderCost {
  readonly steps: readonly Step[];
}

/**
 * The cheapest pairwise order of a contraction: exact up to `exactLimit` operands, the best of several greedy searches,
 * interval dynamic programming and local improvement above. Deterministic. A contraction of fewer than two operands has
 * no steps.
 */
export function contractionOrder(problem: OrderProblem): ContractionOrder {
  const network = networkOf(problem);
  const steps = network.count <= exactLimit ? exactOrder(network) : heuristicOrder(network);
  return { steps, ...networkCost(network, steps) };
}

/** What `steps` cost on `problem`. */
export const orderCost = (problem: OrderProblem, steps: readonly Step[]): OrderCost =>
  networkCost(networkOf(problem), steps);

/** Operands one after the other, as written. */
export const leftToRight = (count: number): readonly Step[] =>
  Array.from({ length: Math.max(0, count - 1) }, (_, i): Step => (i === 0 ? [0, 1] : [count + i - 1, i + 1]));
