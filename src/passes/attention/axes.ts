import type { Build } from "../../ir/arena.ts";
import { type Dim, product } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { sameShape } from "../../ir/types.ts";
import { isIdentity } from "../rules/movement.ts";

/** Labels of each axis of a tensor: several where a reshape merged axes, none for an axis of size 1. */
export type Groups = readonly (readonly string[])[];
export type Sizes = ReadonlyMap<string, Dim>;

const sizeOf = (labels: readonly string[], sizes: Sizes): Dim => product(labels.map((label) => sizes.get(label)!));

/** The groups after a reshape; undefined where it cuts a label in pieces. */
export function regroup(groups: Groups, shape: readonly Dim[], sizes: Sizes): Groups | undefined {
  const labels = groups.flat();
  const made: string[][] = [];
  let at = 0;
  for (const dim of shape) {
    const group: string[] = [];
    while (sizeOf(group, sizes) !== dim && at < labels.length) group.push(labels[at++]!);
    if (sizeOf(group, sizes) !== dim) return undefined;
    made.push(group);
  }
  // Labels of size 1 may be left over: they belong to the last axis that has any.
  const rest = labels.slice(at);
  if (rest.some((label) => sizes.get(label) !== 1)) return undefined;
  const last = made.at(-1);
  if (last) last.push(...rest);
  return last || rest.length === 0 ? made : undefined;
}

/**
 * How a reshape that no grouping follows cuts labels: of each label cut, the sizes of its parts. Undefined where the
 * borders of labels and axes do not meet.
 */
export function cutsBy(groups: Groups, shape: readonly Dim[], sizes: Sizes): ReadonlyMap<string, Dim[]> | undefined {
  const labels = groups.flat();
  const cuts = new Map<string, Dim[]>();
  let at = 0;
  for (let axis = 0; axis < shape.length; ) {
    const [label, dim] = [labels[at], shape[axis]!];
    if (label === undefined || dim === 1) {
      if (dim !== 1) return undefined;
      axis++;
      continue;
    }
    const merged = firstThat(labels.length - at, (n) => sizeOf(labels.slice(at, at + n), sizes) === dim);
    if (merged) {
      [at, axis] = [at + merged, axis + 1];
      continue;
    }
    const cut = firstThat(shape.length - axis, (n) => product(shape.slice(axis, axis + n)) === sizes.get(label));
    if (!cut) return undefined;
    cuts.set(label, shape.slice(axis, axis + cut));
    [at, axis] = [at + 1, axis + cut];
  }
  return cuts.size > 0 && labels.slice(at).every((label) => sizes.get(label) === 1) ? cuts : undefined;
}

const firstThat = (most: number, holds: (n: number) => boolean): number | undefined =>
  Array.from({ length: most }, (_, i) => i + 1).find(holds);

export const reshaped = (b: Build, value: Value, shape: readonly Dim[]): Value =>
  sameShape(value.type.shape, shape) ? value : b.reshape(value, { shape });

export const transposed = (b: Build, value: Value, perm: readonly number[]): Value =>
  isIdentity(perm) ? value : b.transpose(value, { perm });

/** A tensor whose elements lie along `labels`, with its axes ordered and merged as `wanted`; repeated along what it lacks. */
export function arrange(
  b: Build,
  value: Value,
  labels: readonly string[],
  wanted: Groups,
  sizes: Sizes,
  lacks: readonly string[] = [],
): Value {
  const shape = wanted.map((group) => sizeOf(group, sizes));
  const apart = reshaped(
    b,
    value,
    labels.map((label) => sizes.get(label)!),
  );
  if (lacks.length > 0) {
    const groups = [...lacks, ...labels].map((label) => [label]);
    const narrow = arrangeBroadcast(b, apart, groups, wanted, sizes);
    return sameShape(narrow.type.shape, shape) ? narrow : b.broadcast(narrow, { shape });
  }
  const perm = wanted.flat().map((label) => labels.indexOf(label));
  return reshaped(b, transposed(b, apart, perm), shape);
}

/** The reverse: a tensor whose axes are `groups` as one whose axes are `labels`. */
export function spread(b: Build, value: Value, groups: Groups, labels: readonly string[], sizes: Sizes): Value {
  const flat = groups.flat();
  const apart = reshaped(
    b,
    value,
    flat.map((label) => sizes.get(label)!),
  );
  return transposed(
    b,
    apart,
    labels.map((label) => flat.indexOf(label)),
  );
}

/**
 * A tensor that broadcasts to axes `groups` (aligned at the last), arranged to broadcast to `wanted`. Axes it is only
 * repeated along stay 1 where their whole group is.
 */
export function arrangeBroadcast(b: Build, value: Value, groups: Groups, wanted: Groups, sizes: Sizes): Value {
  const missing = groups.length - value.type.shape.length;
  const labels = groups.flat();
  const present = new Map<string, boolean>();
  groups.forEach((group, axis) => {
    const dim = axis < missing ? 1 : value.type.shape[axis - missing]!;
    for (const label of group) present.set(label, dim !== 1 && dim === sizeOf(group, sizes));
  });
  const sizeIn = (label: string): Dim => (present.get(label) ? sizes.get(label)! : 1);
  const apart = reshaped(b, value, labels.map(sizeIn));
  const order = wanted.flat();
  const moved = transposed(
    b,
    apart,
    order.map((label) => labels.indexOf(label)),
  );
  // A group of which only a part is repeated cannot be merged as it is.
  const mixed = (group: readonly string[]) =>
    group.some((label) => present.get(label)) && group.some((label) => !present.get(label) && sizes.get(label) !== 1);
  const full = new Set(wanted.filter(mixed).flat());
  const filled = order.map((label) => (full.has(label) ? sizes.get(label)! : sizeIn(label)));
  const stretched = full.size > 0 ? b.broadcast(moved, { shape: filled }) : moved;
  const merged = wanted.map((group) => product(group.map((label) => filled[order.indexOf(label)]!)));
  return reshaped(b, stretched, merged);
}
