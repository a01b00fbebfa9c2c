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
  /** What v has labels of and k lacks, along which k is repeated; and the other way round. */
  readonly kLacks: readonly string[];
  readonly vLacks: readonly string[];
  readonly outLabels: readonly string[];
  /** Axes of the scores, besides the keys, that the result is a sum over. */
  readonly summed: readonly string[];
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
  const inner = [...qLabels, ...kLabels].filter((label) => !first.result.includes(label));
  if (width.length === 0 || inner.some((label) => !qLabels.includes(label) || !kLabels.includes(label)))
    return refuse(here, "queries and keys share no axis that is summed");
  const names = renamed(root, at, first);
  if ("reason" in names) return names;
  const { vLabels, outLabels } = names;
  const others = first.result.filter((label) => label !== key);
  const onlyIn = (these: readonly string[], those: readonly string[]) =>
    others.filter((label) => these.includes(label) && !those.includes(label));
  const [kLacks, vLacks] = [onlyIn(vLabels, kLabels), onlyIn(kLabels, vLabels)];
  const problem = pairing({ others, qLabels, kLabels, vLabels, outLabels, key });
  if (problem) return refuse(root.results[0]!, problem);
  const shared = others.filter((label) => kLabels.includes(label) || kLacks.includes(label));
  const free = others.filter((label) => !shared.includes(label));
  const group = free.slice(0, -1);
  const head = headOf(shared, group, first.sizes);
  return {
    q: product.operands[1 - keySide]!,
    k: product.operands[keySide]!,
    qLabels,
    kLabels,
    vLabels,
    kLacks,
    vLacks,
    outLabels,
    summed: others.filter((label) => !outLabels.includes(label)),
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
  const lacking = others.find((label) => !qLabels.includes(label));
  if (lacking !== undefined) return `queries lack the axis ${lacking}`;
  const query = others.findLast((label) => !kLabels.includes(label));
  if (query !== undefined && vLabels.includes(query)) return "each query has values of its own";
  if (query !== undefined && !outLabels.includes(query)) return "the result is a sum over the queries";
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
