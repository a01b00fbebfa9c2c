import type { OnnxModel, OnnxNode } from "./backends/onnx/schema.ts";
import type { Value } from "./ir/graph.ts";
import type { RefTensor } from "./ir/op-def.ts";

/** A tensor of another file, and what makes it. */
export interface OtherTensor {
  readonly name: string;
  readonly op: string;
  /** What it holds for the same inputs, where that is known. */
  readonly tensor?: RefTensor;
}

/** A declared value as the other file is searched for it. */
export interface OurValue {
  readonly value: Value;
  readonly name: string;
  readonly tensor?: RefTensor;
}

export interface Pair {
  readonly ours: OurValue;
  readonly other: OtherTensor;
  /** Equal names; the end of one name is the other; equal numbers. */
  readonly by: "name" | "suffix" | "numbers";
  /** Largest difference over the largest number; null where one is not known or the shapes differ. */
  readonly maxRelError: number | null;
}

/** Names of a file's own tensors with their operators, in its order. */
export const tensorsOf = ({ graph }: OnnxModel): readonly { readonly name: string; readonly op: string }[] =>
  graph.nodes.flatMap((node: OnnxNode) =>
    node.outputs.filter((name) => name !== "").map((name) => ({ name, op: node.opType })),
  );

/**
 * Pairs values with tensors of another file: by name first, then by the end of the name where that is unique, then, in
 * order, by equal shapes and numbers.
 */
export function pairsOf(ours: readonly OurValue[], others: readonly OtherTensor[]): readonly Pair[] {
  const free = { ours: new Set(ours), others: new Set(others) };
  const pairs: Pair[] = [];
  const take = (mine: OurValue, other: OtherTensor, by: Pair["by"]) => {
    free.ours.delete(mine);
    free.others.delete(other);
    pairs.push({ ours: mine, other, by, maxRelError: difference(mine.tensor, other.tensor) });
  };
  const byName = new Map(others.map((other) => [other.name, other]));
  for (const mine of ours) {
    const other = byName.get(mine.name);
    if (other) take(mine, other, "name");
  }
  for (const [mine, other] of uniqueEnds([...free.ours], [...free.others])) take(mine, other, "suffix");
  for (const mine of free.ours) {
    if (!mine.tensor || !tells(mine.tensor)) continue;
    for (const other of free.others)
      if ((difference(mine.tensor, other.tensor) ?? Number.POSITIVE_INFINITY) <= sameNumbers) {
        take(mine, other, "numbers");
        break;
      }
  }
  const place = new Map(ours.map((mine, i) => [mine, i]));
  return pairs.toSorted((p, q) => place.get(p.ours)! - place.get(q.ours)!);
}

/** Numbers that agree this well in float32 are the same. */
const sameNumbers = 1e-4;

/** Names without what exporters append, as `/layer.0/query/MatMul_output_0`. */
const partsOf = (name: string): readonly string[] =>
  name
    .replace(/_output_\d+$/, "")
    .split(/[/:]/)
    .filter(Boolean);

function* uniqueEnds(ours: readonly OurValue[], others: readonly OtherTensor[]): Iterable<[OurValue, OtherTensor]> {
  const byEnd = new Map<string, OtherTensor[]>();
  for (const other of others) {
    const parts = partsOf(other.name);
    for (let i = 0; i < parts.length; i++) {
      const end = parts.slice(i).join("/");
      byEnd.set(end, [...(byEnd.get(end) ?? []), other]);
    }
  }
  const taken = new Set<OtherTensor>();
  for (const mine of ours) {
    const [found, ...more] = byEnd.get(partsOf(mine.name).join("/")) ?? [];
    if (!found || more.length > 0 || taken.has(found)) continue;
    taken.add(found);
    yield [mine, found];
  }
}

/** Whether numbers can tell one tensor from another: several, and not all alike. */
const tells = ({ data }: RefTensor): boolean => data.length > 3 && data.some((x) => x !== data[0]);

function difference(p: RefTensor | undefined, q: RefTensor | undefined): number | null {
  if (!p || !q || p.dims.length !== q.dims.length || !p.dims.every((dim, axis) => dim === q.dims[axis])) return null;
  let [worst, largest] = [0, 0];
  for (let i = 0; i < p.data.length; i++) {
    const [x, y] = [p.data[i]!, q.data[i]!];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    worst = Math.max(worst, Math.abs(x - y));
    if (!Number.isFinite(worst)) return null;
  }
  for (const x of p.data) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return worst === 0 ? 0 : worst / (largest || 1);
}
