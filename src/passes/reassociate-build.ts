import type { Arena } from "../ir/arena.ts";
import { showSpec } from "../ir/contraction.ts";
import { evaluate } from "../ir/dim.ts";
import type { Value } from "../ir/graph.ts";
import { sameShape } from "../ir/types.ts";
import { flopsPerByte, type Step } from "./contraction-order.ts";
import { type Part, partsOf } from "./contraction-steps.ts";
import { leftFirst, type NextUse, resultLayout, type Side } from "./reassociate-layout.ts";
import { joinShapes, type Labelled, type Plan, termShape } from "./reassociate-plan.ts";
import { isFoldable } from "./rewrite/foldable.ts";

/** A value with one label per axis. */
interface Flat {
  readonly value: Value;
  readonly labels: readonly string[];
}

/**
 * The plan's value, computed in the order of `steps`: one binary `contract` per step, its labels in the order products
 * of matrices have them (shared by all three, left, right), intermediates laid out as the next step wants them. Scalar
 * factors go onto the smallest value or a weight; `sizes` measures. Intermediates that were written so are kept.
 */
export function buildOrder(
  plan: Plan,
  steps: readonly Step[],
  arena: Arena,
  sizes: ReadonlyMap<string, number>,
): Value {
  const { build } = arena;
  const parts = partsOf(plan.spec, steps);
  const count = plan.terms.length;
  const scale = scaleOf(plan, arena);
  const scaled = scale === undefined ? -1 : cheapestPlace(plan, parts, scale, sizes);
  const withScale = (flat: Flat, at: number): Flat =>
    at === scaled && scale ? { ...flat, value: build.mul(flat.value, scale) } : flat;
  const kept = keptIntermediates(plan, steps, scaled);
  const next = nextUses(plan, steps, parts);
  const flats: (Flat | undefined)[] = plan.terms.map((term, i) =>
    withScale(operandOf(arena, plan, term, parts[i]!), i),
  );
  steps.forEach(([left, right], i) => {
    const at = count + i;
    const existing = kept.get(at);
    if (existing === null) {
      flats.push(undefined);
      return;
    }
    const side = (id: number): Side & Flat => ({
      ...flats[id]!,
      free: parts[id]!.operands.every((term) => plan.foldable[term]),
    });
    const use = next.get(at);
    const layout = () =>
      use ? resultLayout(side(left), side(right), new Set(parts[at]!.labels), use) : plan.spec.result;
    const flat = existing ? flattened(arena, plan, existing) : joined(arena, side(left), side(right), layout());
    flats.push(withScale(flat, at));
  });
  const { value } = flats.at(-1)!;
  return sameShape(value.type.shape, plan.root.type.shape)
    ? value
    : build.reshape(value, { shape: plan.root.type.shape });
}

/** All factors without axes as one rank-0 value; undefined where they are 1. */
function scaleOf({ factor, scalars, root }: Plan, { build }: Arena): Value | undefined {
  const values = scalars.map((value) => (value.type.shape.length === 0 ? value : build.reshape(value, { shape: [] })));
  if (factor !== 1) values.unshift(build.scalar(factor, root.type.dtype));
  if (values.length === 0) return undefined;
  return values.reduce((all, value) => build.mul(all, value));
}

/** The part with the fewest elements; parts made of weights alone cost nothing, unless they are kept for others too. */
function cheapestPlace(plan: Plan, parts: readonly Part[], scale: Value, sizes: ReadonlyMap<string, number>): number {
  const elements = ({ labels }: Part) => labels.reduce((all, label) => all * sizes.get(label)!, 1);
  const constant = isFoldable(scale);
  const prices = parts.map((part, i) => {
    if (!constant || !part.operands.every((term) => plan.foldable[term])) return elements(part);
    const copied = i < plan.terms.length && plan.freedBytes[i] === 0;
    return copied ? elements(part) * plan.elementBytes * flopsPerByte : 0;
  });
  return prices.indexOf(Math.min(...prices));
}

/**
 * Steps that compute what an intermediate as written is already: the intermediate. Null for steps inside of those.
 * Nothing that holds the scalar factor is kept.
 */
function keptIntermediates(plan: Plan, steps: readonly Step[], scaled: number): ReadonlyMap<number, Labelled | null> {
  const count = plan.terms.length;
  const shapes = plan.terms.map((_, i) => termShape(i));
  const tainted = plan.terms.map((_, i) => i === scaled);
  for (const [left, right] of steps) {
    const inner = tainted[left]! || tainted[right]!;
    shapes.push(inner ? "scaled" : joinShapes(shapes[left]!, shapes[right]!));
    tainted.push(inner || shapes.length - 1 === scaled);
  }
  const kept = new Map<number, Labelled | null>();
  for (let i = steps.length - 1; i >= 0; i--) {
    const at = count + i;
    const known = kept.has(at) ? undefined : plan.known.get(shapes[at]!);
    if (known && i < steps.length - 1) kept.set(at, known);
    if (kept.has(at)) for (const side of steps[i]!) if (side >= count) kept.set(side, null);
  }
  return kept;
}

/** For each part but the last, what the next product makes of it. */
function nextUses(plan: Plan, steps: readonly Step[], parts: readonly Part[]): ReadonlyMap<number, NextUse> {
  const uses = new Map<number, NextUse>();
  steps.forEach(([left, right], i) => {
    const kept = new Set(parts[plan.terms.length + i]!.labels);
    uses.set(left, { sibling: new Set(parts[right]!.labels), kept });
    uses.set(right, { sibling: new Set(parts[left]!.labels), kept });
  });
  return uses;
}

/** A term with one axis per label, and summed over labels nobody else has. */
function operandOf(arena: Arena, plan: Plan, term: Labelled, part: Part): Flat {
  const flat = flattened(arena, plan, term);
  const distinct = new Set(flat.labels).size === flat.labels.length;
  if (distinct && flat.labels.length === part.labels.length) return flat;
  const spec = showSpec({ operands: [flat.labels], result: part.labels });
  if (!distinct) return { value: arena.build.contract(flat.value, { spec }), labels: part.labels };
  const axes = flat.labels.flatMap((label, axis) => (part.labels.includes(label) ? [] : [axis]));
  const value = arena.build.reduceSum(flat.value, { axes, keepDims: false });
  return { value, labels: flat.labels.filter((label) => part.labels.includes(label)) };
}

function flattened(arena: Arena, plan: Plan, { value, axes }: Labelled): Flat {
  const labels = axes.flat();
  if (axes.every((axis) => axis.length === 1)) return { value, labels };
  return { value: arena.build.reshape(value, { shape: labels.map((label) => plan.dims.get(label)!) }), labels };
}

function joined({ build }: Arena, a: Side & Flat, b: Side & Flat, layout: readonly string[]): Flat {
  const same = (labels: readonly string[]) =>
    labels.length === layout.length && labels.every((l, i) => l === layout[i]);
  if (a.labels.length === 0 && same(b.labels)) return { value: build.mul(b.value, a.value), labels: layout };
  if (b.labels.length === 0 && same(a.labels)) return { value: build.mul(a.value, b.value), labels: layout };
  const [left, right] = leftFirst(a, b, layout) ? [a, b] : [b, a];
  const spec = showSpec({ operands: [left.labels, right.labels], result: layout });
  return { value: build.contract(left.value, right.value, { spec }), labels: layout };
}

/** Sizes of a plan's labels, at least 1. */
export function labelSizes(plan: Plan, values: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map(Array.from(plan.dims, ([label, dim]) => [label, Math.max(1, evaluate(dim, values))]));
}
