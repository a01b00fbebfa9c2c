import { type Dim, evaluate, isStatic, show, symbolsOf } from "../ir/dim.ts";
import { contractionOrder, type OrderProblem, orderCost, type Step } from "./contraction-order.ts";
import { orderFormula, orderKey, partsOf } from "./contraction-steps.ts";
import { type Crossover, crossover, priced } from "./crossover.ts";
import { labelSizes } from "./reassociate-build.ts";
import type { Plan } from "./reassociate-plan.ts";

/** An order with its cost at run time as a formula. */
export interface Candidate {
  readonly steps: readonly Step[];
  readonly formula: Dim;
  /** Price of the bytes that folded weights gain, in FLOPs. */
  readonly price: number;
  /** FLOPs and price at the sizes the choice was made for. */
  readonly cost: number;
}

/** Which order a region gets. */
export interface Choice {
  readonly best: Candidate;
  readonly written: Candidate;
  /** Another order that wins for other lengths, and where it becomes cheaper than `best`. */
  readonly other?: { readonly candidate: Candidate; readonly crossover: Crossover };
  /** The sizes the choice was made for: those given, and assumptions for the rest. */
  readonly values: ReadonlyMap<string, number>;
  /** Symbols that had to be assumed, with what was assumed. */
  readonly assumed: ReadonlyMap<string, number>;
}

/** What an unknown length is taken to be; an unknown batch is 1. */
export const assumedLength = 512;
const batchLike = /^(b|bs|batch\w*)$/i;
export const assumedSize = (name: string): number => (batchLike.test(name) ? 1 : assumedLength);

export interface ChooseOptions {
  readonly dims: ReadonlyMap<string, number>;
  readonly foldLimitBytes: number;
}

/**
 * The cheapest order of a plan. Where sizes are unknown, orders that win anywhere on a grid of sizes are compared: one
 * that nowhere loses is taken; otherwise the winner at the assumed sizes, with the length at which that changes.
 */
export function chooseOrder(plan: Plan, options: ChooseOptions): Choice {
  const unknown = [...new Set([...plan.dims.values()].flatMap(symbolsOf))].filter((name) => !options.dims.has(name));
  const assumed = new Map(unknown.map((name) => [name, assumedSize(name)]));
  const values = new Map([...options.dims, ...assumed]);
  const problemAt = (sizes: ReadonlyMap<string, number>): OrderProblem => ({
    spec: plan.spec,
    sizes: labelSizes(plan, sizes),
    foldable: plan.foldable,
    freedBytes: plan.freedBytes,
    elementBytes: plan.elementBytes,
    foldLimitBytes: options.foldLimitBytes,
  });
  const candidate = (steps: readonly Step[]) => candidateOf(plan, steps, problemAt(values));
  const here = cheapestAt(problemAt(values));
  const written = candidate(plan.written);
  // As written wins where it is no dearer: moving products about must pay.
  const best = here.cost < written.cost ? candidate(here.steps) : written;
  const base = { best, written, values, assumed };
  if (unknown.length === 0) return base;
  const rivals = rivalOrders(plan, unknown, options.dims, problemAt, best.steps);
  for (const name of unknown)
    for (const steps of rivals) {
      const rival = candidate(steps);
      const change = crossover(priced(best.formula, best.price), priced(rival.formula, rival.price), name, values);
      if (change) return { ...base, other: { candidate: rival, crossover: change } };
    }
  return base;
}

const memo = new Map<string, { readonly steps: readonly Step[]; readonly cost: number }>();
const memoLimit = 4096;

/** Equal problems, as in the layers of a model, are solved once. */
function cheapestAt(problem: OrderProblem): { readonly steps: readonly Step[]; readonly cost: number } {
  const numbers = new Map<string, number>();
  const code = (label: string) => {
    if (!numbers.has(label)) numbers.set(label, numbers.size);
    return numbers.get(label);
  };
  const { spec, sizes } = problem;
  const labels = [...spec.operands, spec.result].map((list) => list.map(code).join(" ")).join(",");
  const rest = [problem.foldable, problem.freedBytes, problem.elementBytes, problem.foldLimitBytes].join(";");
  const key = `${labels}|${[...numbers.keys()].map((label) => sizes.get(label)).join(" ")}|${rest}`;
  let known = memo.get(key);
  if (known) return known;
  const { steps, cost } = contractionOrder(problem);
  if (memo.size >= memoLimit) memo.clear();
  memo.set(key, (known = { steps, cost }));
  return known;
}

function candidateOf(plan: Plan, steps: readonly Step[], problem: OrderProblem): Candidate {
  const { cost, operations } = orderCost(problem, steps);
  const ahead = foldedParts(plan, steps, problem);
  return {
    steps,
    formula: orderFormula(plan.spec, plan.dims, steps, (part) => ahead[part]!),
    price: cost - operations,
    cost,
  };
}

/** Parts made of weights alone and not too large to be computed before the run. */
function foldedParts(
  plan: Plan,
  steps: readonly Step[],
  { sizes, foldLimitBytes = 0 }: OrderProblem,
): readonly boolean[] {
  return partsOf(plan.spec, steps).map(({ labels, operands }) => {
    if (!operands.every((term) => plan.foldable[term])) return false;
    const bytes = labels.reduce((all, label) => all * sizes.get(label)!, plan.elementBytes);
    const freed = operands.reduce((sum, term) => sum + plan.freedBytes[term]!, 0);
    return operands.length === 1 || bytes - freed <= foldLimitBytes;
  });
}

/** Orders that win for other sizes of the unknown symbols, each once, without `best`. */
function rivalOrders(
  plan: Plan,
  unknown: readonly string[],
  given: ReadonlyMap<string, number>,
  problemAt: (sizes: ReadonlyMap<string, number>) => OrderProblem,
  best: readonly Step[],
): readonly (readonly Step[])[] {
  const count = plan.terms.length;
  const rivals = new Map<string, readonly Step[]>();
  const known = orderKey(count, best);
  for (const sizes of grid(unknown, count)) {
    const problem = problemAt(new Map([...given, ...sizes]));
    const { steps, cost } = cheapestAt(problem);
    const key = orderKey(count, steps);
    if (key === known || rivals.has(key) || cost >= orderCost(problem, best).cost) continue;
    // Where the order as written ties with the winner, it is the rival.
    const asWritten = orderCost(problem, plan.written).cost === cost;
    rivals.set(asWritten ? orderKey(count, plan.written) : key, asWritten ? plan.written : steps);
  }
  return [...rivals.values()];
}

/** Sizes to try: powers of two up to 2^20, fewer for each symbol the more symbols and operands there are. */
function* grid(symbols: readonly string[], count: number): Generator<readonly (readonly [string, number])[]> {
  const points = Math.min(count > 9 ? 6 : 21, Math.max(2, Math.floor(64 ** (1 / symbols.length))));
  const exponents = Array.from({ length: points }, (_, i) => Math.round((20 * i) / (points - 1)));
  const used = symbols.slice(0, 6);
  for (let at = 0; at < points ** used.length; at++)
    yield symbols.map((name, i) => {
      const exponent = exponents[Math.floor(at / points ** i) % points]!;
      return [name, i < used.length ? 2 ** exponent : assumedSize(name)];
    });
}

/** A cost as text: the formula, and its value where sizes are known. */
export function showCost(formula: Dim, dims: ReadonlyMap<string, number>): string {
  if (isStatic(formula) || symbolsOf(formula).some((name) => !dims.has(name))) return show(formula);
  return `${show(formula)} = ${evaluate(formula, dims)}`;
}
