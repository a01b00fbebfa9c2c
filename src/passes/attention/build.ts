import type { Arena, Build } from "../../ir/arena.ts";
import { atScore, everything, lowest } from "../../ir/attend.ts";
import { holdsGraphs } from "../../ir/cost.ts";
import type { Dim } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { causalAmongLast } from "../../ir/index-analysis/diagonal.ts";
import { applied, constant, type IndexExpr, score as theScore } from "../../ir/index-expr/types.ts";
import { sameShape } from "../../ir/types.ts";
import type { Miss } from "../rewrite/match.ts";
import { capturesOf, outliner } from "../rewrite/outline.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { arrange, arrangeBroadcast, type Groups, reshaped, spread } from "./axes.ts";
import { conjuncts, maskedBelow, maskOfBias } from "./causal.ts";
import {
  type Collected,
  type Conjunction,
  collect,
  type Factor,
  type Part,
  type Term,
  type Visible,
} from "./collect.ts";
import { fillOf, swallows } from "./depths.ts";
import { aboveLowest } from "./lowest.ts";
import type { Candidate } from "./match.ts";
import type { Roles } from "./roles.ts";
import type { Step } from "./scores.ts";
import { type Attending, behindSink } from "./sink.ts";
import { meansOfUnseen, type Seen, someSeeNothing } from "./unseen.ts";

/** Hidden in place, scores are written once; as a bias the mask is a second tensor of their size. */
export const ownMasks = "each score has a mask of its own: kernels would take it as a second tensor of that size";
/** `attentionWithWeights` has no score function. */
export const changedWeights = "the weights of scores that a function changes are asked for";

/** The name of a branch that keeps an attention as it was written; none is looked for there. */
export const asWritten = "written";

/** What takes the place of an attention's result, and of its weights where they are asked for. */
export interface Attended {
  readonly out: Value;
  readonly weights?: Value;
}

/** Builds the composite a candidate stands for: movement, `attention` on rank 4, movement back. */
export function buildAttention(candidate: Candidate, arena: Arena, withWeights: boolean): Attended | Miss {
  const b = arena.build;
  const { roles } = candidate;
  const collected = collect(candidate, b, withWeights);
  if ("reason" in collected) return collected;
  const { middle, averages, where } = collected;
  if (withWeights && middle.length > 0)
    return { depth: 6, reason: changedWeights, at: middle.at(-1)!.step.node.results[0]! };
  const made = attending(candidate, collected, arena);
  if ("reason" in made) return made;
  const { operands, seen, score, tables } = made;
  const [q, , v] = operands;
  const extras = [made.mask, made.bias, ...tables].filter((extra) => extra !== undefined);
  const attrs = {
    ...{ scale: made.scale, causal: made.causal },
    ...(seen !== everything && { mask: seen }),
    ...(score !== theScore() && { score, tables: tables.length }),
  };
  if (withWeights) {
    const [out, weights] = arena.node("attentionWithWeights", [...operands, ...extras], attrs).results as [
      Value,
      Value,
    ];
    const softmax = candidate.softmax.results[0]!;
    arena.inherit(softmax, weights);
    const labels = candidate.groups[0]!.flat();
    return {
      out: resultOf(arena, candidate, out),
      weights: reshaped(b, spread(b, weights, pairGroups(roles), labels, roles.sizes), softmax.type.shape),
    };
  }
  const attended = b.attention(...operands, ...extras, attrs);
  const averaging = averages && seenOf(b, averages, collected, made.mask, roles);
  const whole = averaging ? b.add(attended, meansOfUnseen(b, [q, v], averaging)) : attended;
  const out = resultOf(arena, candidate, whole);
  return { out: where ? unless(arena, candidate, someSeeNothing(b, [q, v], keysOf(b, where, roles)), out) : out };
}

/** What the attention is made with, the sink and all. */
function attending(candidate: Candidate, collected: Collected, arena: Arena): (Attending & { scale: number }) | Miss {
  const b = arena.build;
  const { roles, values } = candidate;
  const { middle, clears, averages, causal, seen, where } = collected;
  // What is written twice begins where both begin.
  const [q, k] = [roles.q, roles.k].map((value) => (where ? { value, scale: 1 } : stripScale(b, value))) as [
    Scaled,
    Scaled,
  ];
  const scale = q.scale * k.scale * collected.linear * (middle.length > 0 ? 1 : collected.scale);
  if (!Number.isFinite(scale))
    return { depth: 6, reason: `the scale is ${scale}`, at: candidate.path.product.results[0]! };
  const at = (value: Value, labels: readonly string[], wanted: Groups, lacks: readonly string[] = []) =>
    arrange(b, value, labels, wanted, roles.sizes, lacks);
  const times = (x: Value, side: Factor["side"]) => multiplied(b, x, side, candidate, collected);
  const asked = times(at(q.value, roles.qLabels, [roles.batch, headsOf(roles), roles.query, roles.width]), "query");
  const operands = [
    // Kernels need a positive scale.
    scale < 0 ? b.neg(asked) : asked,
    times(at(k.value, roles.kLabels, [roles.batch, roles.head, [roles.key], roles.width], roles.kLacks), "key"),
    at(values, roles.vLabels, [roles.batch, roles.head, [roles.key], roles.valueWidth], roles.vLacks),
  ] as const;
  const hidden = maskOf(
    b,
    collected.masks.flatMap(({ parts }) => parts),
    roles,
  );
  const [batch, count, queries] = operands[0].type.shape as [Dim, Dim, Dim];
  const scores = [batch, count, queries, operands[1].type.shape[2]!];
  if (hidden && count !== 1 && sameShape(hidden.type.shape, scores)) return { depth: 6, reason: ownMasks, at: hidden };
  const masks = clears || averages ? [] : collected.masks;
  // No kernel clears the row of a sink.
  const raise = (term: Term): Term => (candidate.sink ? term : { ...term, value: aboveLowest(term.value, arena) });
  const bias = sumOfBiases(b, { biases: collected.biases.map(raise), masks }, roles);
  const empties = clears && !candidate.sink;
  const mask = empties
    ? allSeen(b, hidden, sumOfBiases(b, { ...collected, masks }, roles))
    : clears || averages
      ? hidden
      : undefined;
  const tables: Value[] = [];
  const read = (value: Value) => atScore(tables.push(value) - 1, value.type);
  const isFunction = middle.length > 0;
  const score = isFunction ? scoreOf(b, collected, bias, roles, read) : theScore();
  const plain = { operands, mask, bias: isFunction ? undefined : bias, tables, causal, seen, score };
  const sink =
    candidate.sink && arrangeBroadcast(b, candidate.sink, candidate.groups[0]!, pairGroups(roles), roles.sizes);
  return { scale: Math.abs(scale), ...(sink ? behindSink(b, plain, sink) : plain) };
}

const headsOf = ({ head, group }: Roles): readonly string[] => [...head, ...group];

/** The result of an attention as the product it takes the place of has it. */
function resultOf(arena: Arena, { root: { results }, roles }: Candidate, value: Value): Value {
  const b = arena.build;
  const root = results[0]!;
  const { batch, query, valueWidth, summed, outLabels, sizes } = roles;
  const all = [...batch, ...headsOf(roles), ...query, ...valueWidth];
  const axes = summed.map((label) => all.indexOf(label));
  const apart = all.map((label) => sizes.get(label)!);
  const kept = all.filter((label) => !summed.includes(label));
  const whole = axes.length > 0 ? b.reduceSum(reshaped(b, value, apart), { axes, keepDims: false }) : value;
  arena.inherit(root, whole);
  return reshaped(b, spread(b, whole, [kept], outLabels, sizes), root.type.shape);
}

/** Beyond this, either way, a bias counts as hiding keys, or as showing those that are hidden. */
const deepBias = -maskedBelow / 2;

/** The keys that are seen, where nothing but keys tells. */
function keysOf(b: Build, { parts, biases, causal }: Visible, roles: Roles): Seen {
  const bias = sumOfBiases(b, { biases, masks: [] }, roles);
  const shallow = bias && b.less(b.abs(bias), b.scalar(deepBias, bias.type.dtype));
  const masks = [maskOf(b, parts, roles), shallow].filter((mask) => mask !== undefined);
  return { mask: masks.reduce((p, q) => b.and(p, q)), causal };
}

/** The result as it is written where the condition holds, and else what was made of it. */
function unless(arena: Arena, { root, roles, values, path }: Candidate, condition: Value, made: Value): Value {
  const ends = [roles.q, roles.k, values, ...path.steps.flatMap(tensorsOf)];
  const written = root.results[0]!;
  const captures = capturesOf([written, made], new Set(ends));
  const outline = outliner(arena, captures);
  const attrs = { whenTrue: outline(asWritten, written), whenFalse: outline("attended", made), expected: "whenFalse" };
  return arena.node("if", [condition, ...captures], attrs).results[0]!;
}

/** What tells which rows see nothing under a mask that positions tell in part. */
function seenOf(
  b: Build,
  { parts }: Conjunction,
  { seen, causal }: Collected,
  hidden: Value | undefined,
  roles: Roles,
): Seen {
  if (hidden && causal && seen === everything) return { mask: hidden, causal: "first" };
  if (hidden && !causal && seen === causalAmongLast) return { mask: hidden, causal: "last" };
  return { mask: maskOf(b, parts, roles)!, causal: undefined };
}

/** q or k times the factors of its scores. */
function multiplied(b: Build, x: Value, side: Factor["side"], { roles }: Candidate, { factors }: Collected): Value {
  const own = factors.filter((factor) => factor.side === side);
  return own.reduce((made, { step, groups }) => {
    const along = (wanted: Groups) => arrangeBroadcast(b, step.value, groups, wanted, roles.sizes);
    const perKey = () => {
      const stretched = along([roles.batch, roles.head, [...roles.group, ...roles.query], [roles.key]]);
      const [batch, heads, , keys] = stretched.type.shape as [Dim, Dim, Dim, Dim];
      return b.reshape(stretched, { shape: [batch, heads, keys, 1] });
    };
    const factor = side === "query" ? along(pairGroups(roles)) : perKey();
    return step.divides ? b.div(made, factor) : b.mul(made, factor);
  }, x);
}

/** The score function of `middle`, then what is added; `read` makes a tensor that stretches to the scores a table. */
function scoreOf(
  b: Build,
  { middle, scale }: Collected,
  bias: Value | undefined,
  roles: Roles,
  read: (value: Value) => IndexExpr,
): IndexExpr {
  const table = (value: Value, groups: Groups) =>
    read(arrangeBroadcast(b, value, groups, pairGroups(roles), roles.sizes));
  let score = theScore();
  for (const { step, groups } of middle) {
    if (step.kind === "function") score = step.of(score);
    else if (step.kind === "scale") score = applied("mul", score, constant(step.factor));
    else if (step.kind === "factor") score = applied(step.divides ? "div" : "mul", score, table(step.value, groups));
    else if (step.kind === "bias") score = applied(step.negate ? "sub" : "add", score, table(step.value, groups));
  }
  if (scale !== 1) score = applied("mul", score, constant(scale));
  return bias ? applied("add", score, read(bias)) : score;
}

/** What is seen: where the masks are on, and a bias is not minus infinity. */
function allSeen(b: Build, mask: Value | undefined, bias: Value | undefined): Value | undefined {
  if (!bias) return mask;
  const finiteBias = b.less(b.scalar(Number.NEGATIVE_INFINITY, bias.type.dtype), bias);
  return mask ? b.and(mask, finiteBias) : finiteBias;
}

/** What a step reads besides the scores, where both its own spelling and an attention begin. */
function tensorsOf(step: Step): readonly Value[] {
  if (step.kind === "factor") return [step.value];
  if (step.kind !== "mask" && step.kind !== "bias") return [];
  const mask = step.kind === "mask" ? step.mask : maskOfBias(step.value, () => true)?.mask;
  // What lengths tell is made in the branch that needs it.
  const masks = mask ? conjuncts(mask).filter((part) => !isOfLengths(part)) : [];
  return step.kind === "bias" && !mask ? [step.value] : masks;
}

/** Whether a value is made of constants and lengths alone. */
function isOfLengths(value: Value): boolean {
  const open = new Set([value.node]);
  for (const node of open) {
    if (node.op === "input" || node.op === "opaque" || holdsGraphs(node)) return false;
    for (const operand of node.operands) open.add(operand.node);
  }
  return true;
}

interface Scaled {
  readonly value: Value;
  readonly scale: number;
}

/** A constant factor of a tensor, found under movements, and the tensor without it. */
function stripScale(b: Build, value: Value): Scaled {
  const { node } = value;
  const inner = node.operands[0];
  if (node.op === "mul" && inner && inner.type.shape.length === value.type.shape.length) {
    const scale = scalarOf(node.operands[1]!);
    if (scale === undefined || volumeDiffers(inner, value)) return { value, scale: 1 };
    const below = stripScale(b, inner);
    return { value: below.value, scale: below.scale * scale };
  }
  if (node.op !== "reshape" && node.op !== "transpose") return { value, scale: 1 };
  const below = stripScale(b, inner!);
  if (below.scale === 1) return { value, scale: 1 };
  const moved =
    node.op === "reshape"
      ? b.reshape(below.value, { shape: value.type.shape })
      : b.transpose(below.value, { perm: node.attrs.get("perm") as readonly number[] });
  return { value: moved, scale: below.scale };
}

const volumeDiffers = (p: Value, q: Value): boolean => p.type.shape.some((dim, i) => dim !== q.type.shape[i]);

/** The axes of scores: [batch, heads, queries, keys]. */
const pairGroups = (roles: Roles): Groups => [roles.batch, headsOf(roles), roles.query, [roles.key]];

/** Where all parts of a mask are on, in the order [batch, heads, queries, keys]; undefined without parts. */
function maskOf(b: Build, parts: readonly Part[], roles: Roles): Value | undefined {
  const arranged = parts.map(({ value, groups }) => arrangeBroadcast(b, value, groups, pairGroups(roles), roles.sizes));
  return arranged.length > 0 ? arranged.reduce((p, q) => b.and(p, q)) : undefined;
}

/** All that is added to the scores, masks as zero or very negative, in the order [batch, heads, queries, keys]. */
function sumOfBiases(
  b: Build,
  { biases, masks }: Pick<Collected, "biases" | "masks">,
  roles: Roles,
): Value | undefined {
  const { dtype } = roles.q.type;
  const terms = biases.map(({ value, groups, factor }) => {
    const moved = arrangeBroadcast(b, value, groups, pairGroups(roles), roles.sizes);
    return factor === 1 ? moved : b.mul(moved, b.scalar(factor, dtype));
  });
  for (const { parts, fill } of masks)
    terms.push(b.select(maskOf(b, parts, roles)!, b.scalar(0, dtype), b.scalar(finite(fill, dtype), dtype)));
  return terms.length > 0 ? terms.reduce((p, q) => b.add(p, q)) : undefined;
}

/** A very negative number its type can hold, and not its lowest where that swallows too; infinity stays what it is. */
const finite = (fill: number, dtype: DType): number => {
  const least = lowest[dtype] ?? fill;
  return least < swallows || fill === Number.NEGATIVE_INFINITY ? fillOf(fill) : Math.max(fill, least);
};
