import type { ContractionSpec } from "../ir/contraction.ts";
import { type Dim, mul, product, sum } from "../ir/dim.ts";
import type { Step } from "./contraction-network.ts";

/** What one part of an order has: the labels of its value, and which operands it is made of. */
export interface Part {
  readonly labels: readonly string[];
  readonly operands: readonly number[];
}

/**
 * The parts of an order: operands first, one per step after. An operand keeps each label once, without those it alone
 * has and the result lacks; a step keeps what the result or a later step needs.
 */
export function partsOf(spec: ContractionSpec, steps: readonly Step[]): readonly Part[] {
  const owners = new Map<string, number>();
  const unique = spec.operands.map((labels) => [...new Set(labels)]);
  for (const label of unique.flat()) owners.set(label, (owners.get(label) ?? 0) + 1);
  const inResult = new Set(spec.result);
  const parts: Part[] = unique.map((labels, i) => ({
    labels: labels.filter((label) => inResult.has(label) || owners.get(label)! > 1),
    operands: [i],
  }));
  for (const [left, right] of steps) {
    const a = parts[left]!;
    const b = parts[right]!;
    const operands = [...a.operands, ...b.operands];
    const labels = [...new Set([...a.labels, ...b.labels])];
    const held = (label: string) => operands.filter((i) => unique[i]!.includes(label)).length;
    parts.push({ labels: labels.filter((label) => inResult.has(label) || held(label) < owners.get(label)!), operands });
  }
  return parts;
}

/** Multiplications and additions of one step: 2·Πs where a label is summed, else Πs. */
function stepFormula(left: Part, right: Part, kept: Part, dims: ReadonlyMap<string, Dim>): Dim {
  const space = product([...new Set([...left.labels, ...right.labels])].map((label) => dims.get(label)!));
  return space === product(kept.labels.map((label) => dims.get(label)!)) ? space : mul(2, space);
}

/**
 * Multiplications and additions of an order at run time as a formula in the dimensions. `ahead` says which parts are
 * computed before the run.
 */
export function orderFormula(
  spec: ContractionSpec,
  dims: ReadonlyMap<string, Dim>,
  steps: readonly Step[],
  ahead: (part: number) => boolean,
): Dim {
  const parts = partsOf(spec, steps);
  const count = spec.operands.length;
  const reductions = spec.operands.map((labels, i) => {
    const whole = product([...new Set(labels)].map((label) => dims.get(label)!));
    return ahead(i) || whole === product(parts[i]!.labels.map((label) => dims.get(label)!)) ? 0 : whole;
  });
  const products = steps.map(([left, right], i) =>
    ahead(count + i) ? 0 : stepFormula(parts[left]!, parts[right]!, parts[count + i]!, dims),
  );
  return sum([...reductions, ...products]);
}

/** Text that is equal exactly for orders that join the same sets of operands. */
export function orderKey(count: number, steps: readonly Step[]): string {
  const members: (readonly number[])[] = Array.from({ length: count }, (_, i) => [i]);
  for (const [left, right] of steps) members.push([...members[left]!, ...members[right]!].sort((a, b) => a - b));
  return members
    .slice(count)
    .map((set) => set.join(","))
    .sort()
    .join(" ");
}

/** An order as people write it: `(v k) q`, operands by name. */
export function showOrder(names: readonly string[], steps: readonly Step[]): string {
  const texts = [...names];
  for (const [left, right] of steps) texts.push(`(${texts[left]} ${texts[right]})`);
  const whole = texts.at(-1) ?? "";
  return steps.length > 0 ? whole.slice(1, -1) : whole;
}
