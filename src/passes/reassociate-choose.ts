import { type Dim, evaluate, isStatic, show, symbolsOf } from "../ir/dim.ts";
import { assumedSizes } from "./assumed-size.ts";
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
  /** Where `best` becomes cheaper than the order as written. */
  readonly sinceWritten?: Crossover;
  /** The sizes the choice was made for: those given, and assumptions for the rest. */
  readonly values: ReadonlyMap<string, number>;
  /** Symbols that had to be assumed, with what was assumed. */
  readonly assumed: ReadonlyMap<string, number>;
}

export interface ChooseOptions {
  readonly dims: ReadonlyMap<string, number>;
  readonly foldLimitBytes: number;
  /** Do not look for orders that win at other sizes, as in graphs of thousands of products. */
  readonly quick?: boolean;
}

/**
 * The cheapest order of a plan. Where sizes are unknown, orders that win anywhere on a grid of sizes are compared: one
 * that nowhere loses is taken; otherwise the winner at the assumed sizes, with the length at which that changes.
 */
export function chooseOrder(plan: Plan, options: ChooseOptions): Choice {
  const key = choiceKey(plan, options);
  let choice = choices.get(key);
  if (choice) return choice;
  if (choices.size >= memoLimit) choices.clear();
  choices.set(key, (choice = decide(plan, options)));
  return choice;
}

/** Equal plans, as in the layers of a model, are decided once. */
const choices = new Map<string, Choice>();
const memoLimit = 4096;

/** Numbers for labels in order of appearance: what is left of a contraction once names do not matter. */
function coded(lists: readonly (readonly string[])[]): { readonly text: string; readonly labels: readonly string[] } {
  const numbers = new Map<string, number>();
  const code = (label: string) => {
    if (!numbers.has(label)) numbers.set(label, numbers.size);
    return numbers.get(label);
  };
  const text = lists.map((list) => list.map(code).join(" ")).join(",");
  return { text, labels: [...numbers.keys()] };
}

function choiceKey({ spec, dims, foldable, freedBytes, elementBytes, written }: Plan, options: ChooseOptions): string {
  const { text, labels } = coded([...spec.operands, spec.result]);
  const sizes = labels.map((label) => show(dims.get(label)!)).join(" ");
  const given = [...options.dims, options.quick ? "quick" : ""].join(" ");
  return [text, sizes, written.join(" "), foldable, freedBytes, elementBytes, options.foldLimitBytes, given].join("|");
}

function decide(plan: Plan, options: ChooseOptions): Choice {
  const unknown = [...new Set([...plan.dims.values()].flatMap(symbolsOf))].filter((name) => !options.dims.has(name));
  const assumed = assumedSizes(plan.dims.values(), unknown);
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
  const symbols = [...new Set([...plan.dims.values()].flatMap(symbolsOf))];
  const changes = (from: Candidate, to: Candidate) =>
    symbols
      .map((name) => crossover(priced(from.formula, from.price), priced(to.formula, to.price), name, values))
      .find((change) => change !== undefined);
  const sinceWritten = best === written ? undefined : changes(written, best);
  const points = options.quick ? [] : [...grid(unknown, values, symbols, plan.terms.length > 9)];
  const rivals = rivalOrders(plan, points, problemAt, best);
  for (const steps of rivals) {
    const rival = candidate(steps);
    const change = changes(best, rival);
    if (change)
      return { ...base, ...(sinceWritten ? { sinceWritten } : {}), other: { candidate: rival, crossover: change } };
  }
  return { ...base, ...(sinceWritten ? { sinceWritten } : {}) };
}

const orders = new Map<string, { readonly steps: readonly Step[]; readonly cost: number }>();

/** Equal problems are solved once. */
function cheapestAt(problem: OrderProblem): { readonly steps: readonly Step[]; readonly cost: number } {
  const { spec, sizes, foldable, freedBytes, elementBytes, foldLimitBytes } = problem;
  const { text, labels } = coded([...spec.operands, spec.result]);
  const numbers = labels.map((label) => sizes.get(label)).join(" ");
  const key = [text, numbers, foldable, freedBytes, elementBytes, foldLimitBytes].join("|");
  let known = orders.get(key);
  if (known) return known;
  const { steps, cost } = contractionOrder(problem);
  if (orders.size >= memoLimit) orders.clear();
  orders.set(key, (known = { steps, cost }));
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

/** Orders that win for other sizes of the symbols, without `best`, those that win most often first. */
function rivalOrders(
  plan: Plan,
  points: readonly ReadonlyMap<string, number>[],
  problemAt: (sizes: ReadonlyMap<string, number>) => OrderProblem,
  best: Candidate,
): readonly (readonly Step[])[] {
  const count = plan.terms.length;
  const rivals = new Map<string, { readonly steps: readonly Step[]; wins: number }>();
  const known = orderKey(count, best.steps);
  for (const sizes of points) {
    const problem = problemAt(sizes);
    const { steps, cost } = cheapestAt(problem);
    if (cost >= Math.max(1, evaluate(best.formula, sizes)) + best.price) continue;
    // Where the order as written ties with the winner, it is the rival.
    const rival = orderCost(problem, plan.written).cost === cost ? plan.written : steps;
    const key = orderKey(count, rival);
    const seen = rivals.get(key);
    if (seen) seen.wins++;
    else if (key !== known) rivals.set(key, { steps: rival, wins: 1 });
  }
  return [...rivals.values()].sort((a, b) => b.wins - a.wins).map(({ steps }) => steps);
}

/**
 * Sizes to try: powers of two up to 2^20, together for symbols that are unknown (fewer for each the more there are), one
 * at a time for symbols that are given.
 */
function* grid(
  unknown: readonly string[],
  values: ReadonlyMap<string, number>,
  symbols: readonly string[],
  few: boolean,
): Generator<ReadonlyMap<string, number>> {
  const most = few ? 6 : 21;
  const varied = unknown.slice(0, 6);
  const points = Math.min(most, Math.max(2, Math.floor(64 ** (1 / Math.max(1, varied.length)))));
  const size = (i: number, of: number) => 2 ** Math.round((20 * i) / (of - 1));
  for (let at = 0; varied.length > 0 && at < points ** varied.length; at++)
    yield new Map([
      ...values,
      ...varied.map((name, i) => [name, size(Math.floor(at / points ** i) % points, points)] as const),
    ]);
  for (const name of symbols)
    if (!unknown.includes(name)) for (let i = 0; i < 6; i++) yield new Map([...values, [name, size(i, 6)]]);
}

/** A cost as text: the formula, and its value where sizes are known. */
export function showCost(formula: Dim, dims: ReadonlyMap<string, number>): string {
  if (isStatic(formula) || symbolsOf(formula).some((name) => !dims.has(name))) return show(formula);
  return `${show(formula)} = ${evaluate(formula, dims)}`;
}
