import type { ContractionSpec } from "../ir/contraction.ts";
import { type Dim, product } from "../ir/dim.ts";
import { byteSize } from "../ir/dtype.ts";
import { type Uses, useCount, type Value } from "../ir/graph.ts";
import { bytesOf } from "../ir/types.ts";
import type { Step } from "./contraction-order.ts";
import { partsOf } from "./contraction-steps.ts";
import { type Atom, type Axis, inRuns, runsOf } from "./reassociate-atoms.ts";
import type { Nest, Nested, Region } from "./reassociate-flatten.ts";
import { isFoldable } from "./rewrite/foldable.ts";

/** A value and, for each of its axes, the labels that axis is the row-major product of. */
export interface Labelled {
  readonly value: Value;
  readonly axes: readonly (readonly string[])[];
}

/** A region as a contraction over named labels. */
export interface Plan {
  readonly root: Value;
  readonly terms: readonly Labelled[];
  readonly result: readonly (readonly string[])[];
  readonly scalars: readonly Value[];
  readonly factor: number;
  readonly spec: ContractionSpec;
  readonly dims: ReadonlyMap<string, Dim>;
  readonly foldable: readonly boolean[];
  /** For each term, the bytes that go away when it is folded into another. */
  readonly freedBytes: readonly number[];
  readonly elementBytes: number;
  /** The order as written. */
  readonly written: readonly Step[];
  /** Whether the region is written in pairs, each summing all it can. */
  readonly pairwise: boolean;
  /** Intermediates as written that may be used again, by `shapeOf` the part. */
  readonly known: ReadonlyMap<string, Labelled>;
}

/** The shape of an order's part: which terms are joined in which nesting, whichever side they are on. */
export const termShape = (term: number): string => String(term);
export const joinShapes = (left: string, right: string): string =>
  left < right ? `(${left} ${right})` : `(${right} ${left})`;

/** Names labels, drops what no reshape needs split, and reads the order as written. */
export function planOf(region: Region, uses: Uses): Plan {
  const { atoms } = region;
  const runs = runsOf([...region.result, ...region.terms.flatMap(({ axes }) => axes)]);
  const names = labelNames(region, [...runs.keys()]);
  const labels = (axis: Axis) => inRuns(atoms.resolve(axis), runs)?.map((atom) => names.get(atom)!);
  const labelled = (axes: readonly Axis[]) => axes.map((axis) => labels(axis)!);
  const terms = region.terms.map(({ value, axes }) => ({ value, axes: labelled(axes) }));
  const result = labelled(region.result);
  const dims = new Map<string, Dim>();
  for (const [atom, run] of runs) dims.set(names.get(atom)!, product(run.map((part) => atoms.dimOf(part))));
  const foldable = terms.map(({ value }) => isFoldable(value));
  const spec = { operands: terms.map(({ axes }) => axes.flat()), result: result.flat() };
  const nesting = readNest(region.nest, spec, labels);
  return {
    root: region.root,
    terms,
    result,
    scalars: region.scalars,
    factor: region.factor,
    spec,
    dims,
    foldable,
    freedBytes: terms.map(({ value }, i) =>
      foldable[i] && useCount(uses, value) <= 1 ? Number(bytesOf(value.type)) : 0,
    ),
    elementBytes: byteSize(region.root.type.dtype),
    ...nesting,
  };
}

/** Labels as their author called them, with a number where a name is taken. */
function labelNames({ atoms }: Region, heads: readonly Atom[]): ReadonlyMap<Atom, string> {
  const names = new Map<Atom, string>();
  const taken = new Set<string>();
  for (const head of [...heads].sort((a, b) => a - b)) {
    const stem = atoms.nameOf(head);
    let name = stem;
    for (let i = 1; taken.has(name); i++) name = `${stem}${i}`;
    taken.add(name);
    names.set(head, name);
  }
  return names;
}

function readNest(root: Nest, spec: ContractionSpec, labels: (axis: Axis) => readonly string[] | undefined) {
  const count = spec.operands.length;
  const written: Step[] = [];
  const values: { readonly id: number; readonly shape: string; readonly nest: Nested }[] = [];
  let pairwise = true;
  // Depth is bounded by the number of products in a region.
  const visit = (nest: Nest): { id: number; shape: string } => {
    if (nest.kind === "term") return { id: nest.term, shape: termShape(nest.term) };
    const parts = nest.parts.map(visit);
    if (parts.length > 2) pairwise = false;
    const whole = parts.reduce((left, right) => {
      written.push([left.id, right.id]);
      return { id: count + written.length - 1, shape: joinShapes(left.shape, right.shape) };
    });
    if (parts.length === 2) values.push({ ...whole, nest });
    return whole;
  };
  visit(root);
  const known = new Map<string, Labelled>();
  const parts = partsOf(spec, written);
  for (const { id, shape, nest } of values) {
    const axes = nest.axes.map(labels);
    const whole = axes.every((axis) => axis !== undefined) ? axes : undefined;
    const own = new Set(parts[id]!.labels);
    // An intermediate that keeps labels only to sum them later is worth computing anew.
    const early = whole?.flat().length === own.size && whole.flat().every((label) => own.has(label));
    if (whole && !early) pairwise = false;
    if (whole && early && !nest.scaled) known.set(shape, { value: nest.value, axes: whole });
  }
  return { written, known, pairwise };
}
