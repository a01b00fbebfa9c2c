import type { Node, Value } from "../../ir/graph.ts";
import type { Fusion, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import type { Groups, Sizes } from "./axes.ts";
import { buildAttention, ownMasks } from "./build.ts";
import { type Roles, rolesOf } from "./roles.ts";
import { moved, type ScorePath, type Step, scorePath, specOf } from "./scores.ts";

/** Everything known about an attention before it is built. */
export interface Candidate {
  readonly root: Node;
  readonly softmax: Node;
  readonly path: ScorePath;
  readonly roles: Roles;
  /** Groups of the axes of each step's result, nearest the softmax first. */
  readonly groups: readonly Groups[];
  readonly values: Value;
  /** Probabilities that are NaN are 0: rows that see nothing, where masks are minus infinity. */
  readonly guarded: boolean;
  readonly covered: readonly Node[];
}

const isMiss = (outcome: object): outcome is Miss => "reason" in outcome;

interface Probabilities {
  readonly softmax: Node;
  readonly moves: readonly Node[];
  /** What puts 0 in the place of NaN, if anything does. */
  readonly guard: readonly Node[];
}

/** Softmax probabilities under movements: what a product over keys multiplies the values by. */
function probabilities(value: Value): Probabilities | undefined {
  const moves: Node[] = [];
  let current = value;
  while (current.node.op === "reshape" || current.node.op === "transpose") {
    moves.push(current.node);
    current = current.node.operands[0]!;
  }
  const guard = nanGuard(current);
  const softmax = guard.length > 0 ? current.node.operands[1]!.node : current.node;
  return softmax.op === "softmax" ? { softmax, moves, guard } : undefined;
}

/** The nodes of `p = p ? p : 0`, which is 0 where p is NaN. */
function nanGuard({ node }: Value): readonly Node[] {
  const [same, kept, other] = node.operands;
  if (node.op !== "select" || same!.node.op !== "equal" || scalarOf(other!) !== 0) return [];
  return same!.node.operands.every((side) => side === kept) ? [node, same!.node] : [];
}

/** softmax(scale · q kᵀ + bias, masked) v, whatever the order of axes, of operands and of steps. */
export const attentionMatcher: Matcher = {
  name: "attention",
  formula: "contract(softmax(scale · contract(q, k) + bias, masked), v) = attention(q, k, v, bias)",
  roots: ["contract"],
  refuses: [
    "scores are multiplied by a tensor",
    "scores come from …, not from a product",
    "the scores where the mask is off are …, which still counts",
    "the scores are a product of … operands",
    "keys and values do not share the axis …",
    ownMasks,
    "masks fill with minus infinity and with …: a row that sees nothing is either",
    "the softmax runs over more than the keys",
    "`softmax` is also a graph output",
    "`softmax` is also used outside the pattern",
  ],
  match(root, cx) {
    const at = root.operands.findIndex((operand) => probabilities(operand));
    if (at < 0) return undefined;
    if (root.operands.length !== 2) return miss(root.results[0]!, `a product of ${root.operands.length} operands`);
    const candidate = analyse(root, at);
    if (isMiss(candidate)) return candidate;
    const shared = cx.exclusive(candidate.covered);
    if (shared) return { depth: candidate.covered.length, ...shared };
    const built = buildAttention(candidate, cx.arena);
    if (isMiss(built)) return built;
    return { values: [built], covered: candidate.covered } satisfies Fusion;
  },
};

const miss = (at: Value, reason: string, depth = 4): Miss => ({ depth, reason, at });

function analyse(root: Node, at: number): Candidate | Miss {
  const { softmax, moves, guard } = probabilities(root.operands[at]!)!;
  const path = scorePath(softmax.operands[0]!);
  if (isMiss(path)) return path;
  const { product } = path;
  if (product.operands.length !== 2)
    return miss(product.results[0]!, `the scores are a product of ${product.operands.length} operands`);
  const sizes = labelSizes(product);
  const groups = groupsAlong(path.steps, specOf(product).result, sizes);
  if (isMiss(groups)) return groups;
  const rank = softmax.results[0]!.type.shape.length;
  const axis = ((softmax.attrs.get("axis") as number) + rank) % rank;
  const normalised = groups[0]![axis]!;
  if (normalised.length !== 1) return miss(softmax.results[0]!, "the softmax runs over more than the keys");
  const probs = movedUp(groups[0]!, moves, sizes);
  if (!probs) return miss(softmax.results[0]!, "the probabilities are cut apart");
  const roles = rolesOf({ product, root, at, key: normalised[0]!, probs, sizes });
  if (isMiss(roles)) return roles;
  const covered = [root, ...moves, ...guard, softmax, ...path.steps.map(({ node }) => node), product];
  return { root, softmax, path, roles, groups, values: root.operands[1 - at]!, guarded: guard.length > 0, covered };
}

/** Sizes of the labels of a product. */
export function labelSizes(product: Node): Sizes {
  const spec = specOf(product);
  const sizes = new Map<string, Value["type"]["shape"][number]>();
  product.operands.forEach((operand, i) =>
    spec.operands[i]!.forEach((label, axis) => sizes.set(label, operand.type.shape[axis]!)),
  );
  return sizes;
}

/** Groups of each step's result, from the product up; then turned round, so that the first belongs to the softmax. */
export function groupsAlong(steps: readonly Step[], result: readonly string[], sizes: Sizes): readonly Groups[] | Miss {
  const all: Groups[] = [result.map((label) => [label])];
  for (const step of [...steps].reverse()) {
    const last = all.at(-1)!;
    const next = step.kind === "move" ? moved(last, step.node, sizes) : last;
    if (!next) return miss(step.node.results[0]!, "a reshape of the scores cuts their axes apart");
    all.push(next);
  }
  return all.reverse();
}

/** Groups after movements, the last of which is the first in the list. */
export function movedUp(groups: Groups, moves: readonly Node[], sizes: Sizes): Groups | undefined {
  let current: Groups | undefined = groups;
  for (const node of [...moves].reverse()) current = current && moved(current, node, sizes);
  return current;
}
