import type { Build } from "../../ir/arena.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { axisFromFirst, sameShape } from "../../ir/types.ts";
import type { Fusion, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf, truthOf } from "../rewrite/scalar.ts";
import type { Groups } from "./axes.ts";
import { asWritten, buildAttention, changedWeights, ownMasks } from "./build.ts";
import { deepSink, hidesBeside, maskedAhead, otherMask } from "./collect.ts";
import { labelled } from "./labels.ts";
import { type Roles, rolesOf } from "./roles.ts";
import { nodesOfStep, type ScorePath, scorePath } from "./scores.ts";
import { type Sink, sinkOf } from "./sink.ts";

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
  /** Probabilities are 0 where this mask is off. */
  readonly cleared: Value | undefined;
  /** Takes part in the softmax: no row sees nothing. */
  readonly sink: Value | undefined;
  readonly covered: readonly Node[];
}

export const isMiss = (outcome: object): outcome is Miss => "reason" in outcome;

interface Probabilities {
  readonly softmax: Node;
  readonly moves: readonly Node[];
  /** What puts 0 in the place of NaN, if anything does. */
  readonly guard: readonly Node[];
  /** What puts 0 where a mask is off, if anything does. */
  readonly clearing?: Clearing | undefined;
  readonly sink: Sink | undefined;
}

interface Clearing {
  readonly nodes: readonly Node[];
  /** Off where probabilities are made 0. */
  readonly keeps: Value;
  readonly kept: Value;
}

/** Softmax probabilities under movements: what a product over keys multiplies the values by. */
export function probabilities(value: Value, b: Build): Probabilities | undefined {
  const moves: Node[] = [];
  let current = value;
  while (current.node.op === "reshape" || current.node.op === "transpose") {
    moves.push(current.node);
    current = current.node.operands[0]!;
  }
  const guard = nanGuard(current);
  const clearing = guard.length > 0 ? undefined : clearingOf(current, b);
  const kept = guard.length > 0 ? current.node.operands[1]! : (clearing?.kept ?? current);
  const sink = sinkOf(kept);
  const softmax = sink ? kept.node.operands[0]!.node : kept.node;
  return softmax.op === "softmax" ? { softmax, moves, guard, clearing, sink } : undefined;
}

/** `keeps ? p : 0`, `hides ? 0 : p` or p · keeps. */
function clearingOf({ node, type }: Value, b: Build): Clearing | undefined {
  const [first, second, third] = node.operands;
  const whole = (kept: Value, keeps: Value, nodes = [node]): Clearing | undefined =>
    sameShape(kept.type.shape, type.shape) ? { nodes, keeps, kept } : undefined;
  if (node.op === "select" && scalarOf(third!) === 0) return whole(second!, first!);
  if (node.op === "select" && scalarOf(second!) === 0) return whole(third!, b.not(first!));
  if (node.op !== "mul") return undefined;
  const [kept, factor] = first!.node.op === "softmax" ? [first!, second!] : [second!, first!];
  const keeps = truthOf(factor);
  return keeps && whole(kept, keeps);
}

/** The nodes of `p = p ? p : 0`, which is 0 where p is NaN. */
function nanGuard({ node }: Value): readonly Node[] {
  const [same, kept, other] = node.operands;
  if (node.op !== "select" || same!.node.op !== "equal" || scalarOf(other!) !== 0) return [];
  return same!.node.operands.every((side) => side === kept) ? [node, same!.node] : [];
}

/** softmax(scale · q kᵀ + bias, masked) v, soft-capped or not, whatever the order of axes, of operands and of steps. */
export const attentionMatcher: Matcher = {
  name: "attention",
  formula:
    "contract(softmax(scale · contract(q, k) + bias, masked), v) = attention(q, k, v, bias), with a sink or without",
  roots: ["contract"],
  refuses: [
    "scores come from …, not from a product",
    "the scores where the mask is off are …, which still counts",
    "scores held at the least number may be minus infinity below",
    maskedAhead,
    hidesBeside,
    deepSink,
    "masks that fill with … hide some keys deeper than others, which shows in a row that sees nothing",
    changedWeights,
    otherMask,
    "the scores are a product of … operands",
    ownMasks,
    "masks fill with … where others may with minus infinity: a row that sees nothing is either",
    "the softmax runs over more than the keys",
    "`contract` is also a graph output",
    "`contract` is also used outside the pattern",
  ],
  match(root, cx) {
    const at = root.operands.findIndex((operand) => probabilities(operand, cx.arena.build));
    if (at < 0 || cx.within === asWritten) return undefined;
    if (root.operands.length !== 2) return miss(root.results[0]!, `a product of ${root.operands.length} operands`);
    const candidate = analyse(root, at, cx.arena.build);
    if (isMiss(candidate)) return candidate;
    const shared = cx.exclusive(candidate.covered);
    const weights = candidate.softmax.results[0]!;
    if (shared && !areWeights(shared.at, candidate, cx.arena.build))
      return { depth: candidate.covered.length, ...shared };
    const built = buildAttention(candidate, cx.arena, shared !== undefined);
    if (isMiss(built)) return built;
    const also = built.weights && ([[weights, built.weights]] as const);
    return { values: [built.out], covered: candidate.covered, ...(also && { also }) } satisfies Fusion;
  },
};

/** Whether a value is the weights of a softmax, moved perhaps, and they are those that multiply the values. */
function areWeights(value: Value, { softmax, guarded, cleared, sink }: Candidate, b: Build): boolean {
  const found = probabilities(value, b);
  return !guarded && !cleared && !sink && found?.softmax === softmax && found.sink === undefined;
}

const miss = (at: Value, reason: string, depth = 4): Miss => ({ depth, reason, at });

/** What the product `root` is an attention of, `at` being the operand that comes from a softmax; or what is in the way. */
export function analyse(root: Node, at: number, b: Build): Candidate | Miss {
  const { softmax, moves, guard, clearing, sink } = probabilities(root.operands[at]!, b)!;
  const path = scorePath(sink?.scores ?? softmax.operands[0]!);
  if (isMiss(path)) return path;
  const { product } = path;
  if (product.operands.length !== 2)
    return miss(product.results[0]!, `the scores are a product of ${product.operands.length} operands`);
  const scores = labelled(product, path.steps, moves);
  if (isMiss(scores)) return scores;
  const groups = scores.steps;
  const rank = softmax.results[0]!.type.shape.length;
  const axis = axisFromFirst(softmax.attrs.get("axis") as number, rank);
  const normalised = groups[0]![axis]!;
  if (normalised.length !== 1) return miss(softmax.results[0]!, "the softmax runs over more than the keys");
  const roles = rolesOf({ scores, root, at, key: normalised[0]! });
  if (isMiss(roles)) return roles;
  const covered = [
    ...[root, ...moves, ...guard, ...(clearing?.nodes ?? []), ...(sink?.nodes ?? [])],
    ...[softmax, ...path.steps.flatMap(nodesOfStep), product],
  ];
  const values = root.operands[1 - at]!;
  const ends = { guarded: guard.length > 0, cleared: clearing?.keeps, sink: sink?.value };
  return { root, softmax, path, roles, groups, values, ...ends, covered };
}
