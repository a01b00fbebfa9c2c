import { specOf } from "../../ir/contraction.ts";
import { type Dim, isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import type { Miss } from "../rewrite/match.ts";
import type { Sizes } from "./axes.ts";
import type { Labelled } from "./labels.ts";

/** What each label of an attention means. Labels are those of the product of queries and keys. */
export interface Roles {
  readonly q: Value;
  readonly k: Value;
  readonly qLabels: readonly string[];
  readonly kLabels: readonly string[];
  readonly vLabels: readonly string[];
  readonly outLabels: readonly string[];
  /** Axes of q, k, v and the result that only index independent attentions; the last may be heads. */
  readonly batch: readonly string[];
  /** Heads that q, k and v have, at most one label. */
  readonly head: readonly string[];
  /** Heads that only q has: they share keys. */
  readonly group: readonly string[];
  readonly query: readonly string[];
  readonly key: string;
  readonly width: readonly string[];
  readonly valueWidth: readonly string[];
  readonly sizes: Sizes;
}

interface Question {
  readonly scores: Labelled;
  readonly root: Node;
  /** Which operand of the root the probabilities are. */
  readonly at: number;
  readonly key: string;
}

const refuse = (at: Value, reason: string): Miss => ({ depth: 5, reason, at });
const repeats = (labels: readonly string[]): boolean => new Set(labels).size !== labels.length;

/** Reads the roles of labels off two contractions; a reason where they are not those of an attention. */
export function rolesOf({ scores: first, root, at, key }: Question): Roles | Miss {
  const { product } = first;
  const keySide = first.operands.findIndex((labels) => labels.includes(key));
  const qLabels = first.operands[1 - keySide]!;
  const kLabels = first.operands[keySide]!;
  const here = product.results[0]!;
  if (qLabels.includes(key)) return refuse(here, "the softmax runs over an axis that queries and keys share");
  if (repeats(qLabels) || repeats(kLabels)) return refuse(here, "an axis occurs twice in one operand");
  const width = qLabels.filter((label) => !first.result.includes(label));
  const summed = [...qLabels, ...kLabels].filter((label) => !first.result.includes(label));
  if (width.length === 0 || summed.some((label) => !qLabels.includes(label) || !kLabels.includes(label)))
    return refuse(here, "queries and keys share no axis that is summed");
  const names = renamed(root, at, first);
  if ("reason" in names) return names;
  const { outLabels } = names;
  const others = first.result.filter((label) => label !== key);
  // One head alone may be left out of the values.
  const single = others.filter(
    (label) => first.sizes.get(label) === 1 && kLabels.includes(label) && !names.vLabels.includes(label),
  );
  const vLabels = [...single, ...names.vLabels];
  const problem = pairing({ others, qLabels, kLabels, vLabels, outLabels, key });
  if (problem) return refuse(root.results[0]!, problem);
  const shared = others.filter((label) => kLabels.includes(label));
  const free = others.filter((label) => !kLabels.includes(label));
  const group = free.slice(0, -1);
  const head = headOf(shared, group, first.sizes);
  return {
    q: product.operands[1 - keySide]!,
    k: product.operands[keySide]!,
    qLabels,
    kLabels,
    vLabels,
    outLabels,
    batch: shared.filter((label) => !head.includes(label)),
    head,
    group,
    query: free.slice(-1),
    key,
    width,
    valueWidth: vLabels.filter((label) => label !== key && !shared.includes(label)),
    sizes: names.sizes,
  };
}

interface Sides {
  readonly others: readonly string[];
  readonly qLabels: readonly string[];
  readonly kLabels: readonly string[];
  readonly vLabels: readonly string[];
  readonly outLabels: readonly string[];
  readonly key: string;
}

/** Why labels do not pair up as those of an attention do. */
function pairing({ others, qLabels, kLabels, vLabels, outLabels, key }: Sides): string | undefined {
  if (!vLabels.includes(key) || outLabels.includes(key)) return "the probabilities are not summed over the keys";
  if (repeats(vLabels)) return "an axis occurs twice in one operand";
  for (const label of others) {
    if (!outLabels.includes(label)) return `the axis ${label} is summed over`;
    if (kLabels.includes(label) !== vLabels.includes(label)) return `keys and values do not share the axis ${label}`;
    if (!qLabels.includes(label)) return `queries lack the axis ${label}`;
  }
  const own = vLabels.filter((label) => label !== key && !others.includes(label));
  return own.every((label) => outLabels.includes(label)) ? undefined : "an axis of the values is summed over";
}

/** Heads must be a number for most kernels, so the last axis of fixed size is taken for them. */
function headOf(shared: readonly string[], group: readonly string[], sizes: Sizes): readonly string[] {
  const fixed = shared.filter((label) => isStatic(sizes.get(label)!));
  if (shared.length > 1) return [fixed.at(-1) ?? shared.at(-1)!];
  return group.length > 0 ? fixed : [];
}

/** Labels of v and of the result, in the names of the product of queries and keys. */
function renamed(root: Node, at: number, { outer, sizes }: Labelled) {
  const spec = specOf(root);
  const names = new Map<string, readonly string[]>();
  for (const [axis, label] of spec.operands[at]!.entries()) {
    if (names.has(label)) return refuse(root.results[0]!, "an axis occurs twice in one operand");
    names.set(label, outer[axis]!);
  }
  const all = new Map<string, Dim>(sizes);
  const rename = (label: string): readonly string[] => names.get(label) ?? [`value.${label}`];
  const values = root.operands[1 - at]!;
  spec.operands[1 - at]!.forEach((label, axis) => {
    if (!names.has(label)) all.set(rename(label)[0]!, values.type.shape[axis]!);
  });
  return {
    vLabels: spec.operands[1 - at]!.flatMap(rename),
    outLabels: spec.result.flatMap(rename),
    sizes: all as Sizes,
  };
}
