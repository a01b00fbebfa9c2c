import { specOf } from "../../ir/contraction.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import type { Miss } from "../rewrite/match.ts";
import { cutsBy, type Groups, regroup, type Sizes } from "./axes.ts";
import type { Step } from "./scores.ts";

/** Scores by the labels of their product, each label an axis that no reshape between here and there cuts. */
export interface Labelled {
  readonly product: Node;
  /** What the elements of the product's operands lie along. */
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
  readonly sizes: Sizes;
  /** Groups of the axes of each step's result, nearest the use first; the last are those of the product. */
  readonly steps: readonly Groups[];
  /** Groups where the scores are used, after the movements that follow. */
  readonly outer: Groups;
}

/** Labels that are cut, by their parts. */
type Cuts = ReadonlyMap<string, readonly string[]>;

const most = 8;

/**
 * Labels scores from their product through `steps` (nearest the use first) and `moves` after them. An axis that a reshape
 * cuts, as batch and heads merged for a product of matrices, counts as the axes it is cut into from the start.
 */
export function labelled(product: Node, steps: readonly Step[], moves: readonly Node[]): Labelled | Miss {
  const sizes = labelSizes(product);
  const cuts = new Map<string, readonly string[]>();
  for (let i = 0; i < most; i++) {
    const found = follow(product, steps, moves, sizes, cuts);
    if (!("cut" in found)) return found;
    for (const [label, parts] of found.cut) {
      const names = parts.map((_, at) => `${label}.${at}`);
      names.forEach((name, at) => void sizes.set(name, parts[at]!));
      cuts.set(label, names);
    }
  }
  return { depth: 4, reason: "reshapes of the scores cut their axes in too many ways", at: product.results[0]! };
}

function follow(
  product: Node,
  steps: readonly Step[],
  moves: readonly Node[],
  sizes: Sizes,
  cuts: Cuts,
): Labelled | Miss | { readonly cut: ReadonlyMap<string, readonly Dim[]> } {
  const spec = specOf(product);
  const partsOf = (label: string): readonly string[] => cuts.get(label)?.flatMap(partsOf) ?? [label];
  let groups: Groups = spec.result.map(partsOf);
  const all: Groups[] = [groups];
  const pass = (node: Node): Miss | { readonly cut: ReadonlyMap<string, readonly Dim[]> } | undefined => {
    const next = moved(groups, node, sizes);
    if (next) groups = next;
    else {
      const cut = cutsBy(groups, node.results[0]!.type.shape, sizes);
      return cut
        ? { cut }
        : { depth: 4, reason: "a reshape of the scores cuts their axes apart", at: node.results[0]! };
    }
    return undefined;
  };
  for (const step of [...steps].reverse()) {
    const stopped = step.kind === "move" ? pass(step.node) : undefined;
    if (stopped) return stopped;
    all.push(groups);
  }
  for (const node of [...moves].reverse()) {
    const stopped = pass(node);
    if (stopped) return stopped;
  }
  return {
    product,
    operands: spec.operands.map((labels) => labels.flatMap(partsOf)),
    result: spec.result.flatMap(partsOf),
    sizes,
    steps: all.reverse(),
    outer: groups,
  };
}

/** Sizes of the labels of a product. */
function labelSizes(product: Node): Map<string, Dim> {
  const spec = specOf(product);
  const sizes = new Map<string, Dim>();
  product.operands.forEach((operand: Value, i) =>
    spec.operands[i]!.forEach((label, axis) => sizes.set(label, operand.type.shape[axis]!)),
  );
  return sizes;
}

/** The groups of a tensor after a movement of it; undefined where labels are cut. */
function moved(groups: Groups, node: Node, sizes: Sizes): Groups | undefined {
  if (node.op === "reshape") return regroup(groups, node.results[0]!.type.shape, sizes);
  return (node.attrs.get("perm") as readonly number[]).map((axis) => groups[axis]!);
}

/** Groups after movements, the last of which is the first in the list; undefined where labels are cut. */
export function movedUp(groups: Groups, moves: readonly Node[], sizes: Sizes): Groups | undefined {
  let current: Groups | undefined = groups;
  for (const node of [...moves].reverse()) current = current && moved(current, node, sizes);
  return current;
}
