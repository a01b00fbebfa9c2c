import type { Arena, Build } from "../../ir/arena.ts";
import { atScore, softCap } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { applied, type IndexExpr } from "../../ir/index-expr/types.ts";
import { sameShape } from "../../ir/types.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { arrange, arrangeBroadcast, type Groups, reshaped, spread } from "./axes.ts";
import { conjuncts, isCausalBias, isCausalMask, maskedBelow, maskOfBias, type PairAxes, seesItself } from "./causal.ts";
import type { Candidate } from "./match.ts";
import type { Roles } from "./roles.ts";
import { meansOfUnseen } from "./unseen.ts";

/**
 * Added where a mask is off. It swallows any score in every precision, so that a row that sees nothing weighs its keys
 * alike, as it does where scores are replaced; kernels clear such rows only for the very lowest number.
 */
const swallows = -1e38;
/** Hidden in place, scores are written once; as a bias the mask is a second tensor of their size. */
export const ownMasks = "each score has a mask of its own: kernels would take it as a second tensor of that size";
/** `attentionWithWeights` has no score function. */
export const cappedWeights = "the weights of capped scores are asked for";
export const maskedAhead = "scores are masked ahead of a soft-cap, which lifts what they are masked with";
const isMasked = (element: number): boolean => element <= maskedBelow;

/** What takes the place of an attention's result, and of its weights where they are asked for. */
export interface Attended {
  readonly out: Value;
  readonly weights?: Value;
}

/** Builds the composite a candidate stands for: movement, `attention` on rank 4, movement back. */
export function buildAttention(candidate: Candidate, arena: Arena, withWeights: boolean): Attended | Miss {
  const b = arena.build;
  const { roles, values } = candidate;
  const q = stripScale(b, roles.q);
  const k = stripScale(b, roles.k);
  const collected = collect(candidate, b, withWeights);
  if ("reason" in collected) return collected;
  const { cap } = collected;
  const scale = q.scale * k.scale * collected.scale * (cap?.factor ?? 1);
  if (!(scale > 0 && Number.isFinite(scale)))
    return { depth: 6, reason: `the scale ${scale} is not positive`, at: candidate.path.product.results[0]! };
  const heads = [...roles.head, ...roles.group];
  const at = (value: Value, labels: readonly string[], wanted: Groups) =>
    arrange(b, value, labels, wanted, roles.sizes);
  const operands = [
    at(q.value, roles.qLabels, [roles.batch, heads, roles.query, roles.width]),
    at(k.value, roles.kLabels, [roles.batch, roles.head, [roles.key], roles.width]),
    at(values, roles.vLabels, [roles.batch, roles.head, [roles.key], roles.valueWidth]),
  ] as const;
  const hidden = maskOf(
    b,
    collected.masks.flatMap(({ parts }) => parts),
    roles,
  );
  const [batch, count, queries] = operands[0].type.shape as [Dim, Dim, Dim];
  const scores = [batch, count, queries, operands[1].type.shape[2]!];
  if (hidden && count !== 1 && sameShape(hidden.type.shape, scores)) return { depth: 6, reason: ownMasks, at: hidden };
  const clears = candidate.guarded ? clearsRows(candidate, collected) : false;
  if (typeof clears !== "boolean") return clears;
  const averages = !clears && collected.averages;
  const added = sumOfBiases(b, clears || averages ? { ...collected, masks: [] } : collected, roles);
  const mask = clears ? allSeen(b, hidden, added, operands[0].type.dtype) : averages ? hidden : undefined;
  if (cap && withWeights) return { depth: 6, reason: cappedWeights, at: cap.at };
  const bias = cap ? sumOfBiases(b, { biases: cap.biases, masks: [] }, roles) : added;
  const table = cap && added;
  const extras = [mask, bias, table].filter((extra) => extra !== undefined);
  const attrs = {
    ...{ scale, causal: collected.causal },
    ...(cap && { score: cappedScore(cap.factor, table), tables: table ? 1 : 0 }),
  };
  const back = (value: Value, last: readonly string[], labels: readonly string[], like: Value): Value => {
    arena.inherit(like, value);
    return reshaped(b, spread(b, value, [roles.batch, heads, roles.query, last], labels, roles.sizes), like.type.shape);
  };
  const root = candidate.root.results[0]!;
  if (withWeights) {
    const [out, weights] = arena.node("attentionWithWeights", [...operands, ...extras], attrs).results as [
      Value,
      Value,
    ];
    const softmax = candidate.softmax.results[0]!;
    return {
      out: back(out, roles.valueWidth, roles.outLabels, root),
      weights: back(weights, [roles.key], candidate.groups[0]!.flat(), softmax),
    };
  }
  const attended = b.attention(...operands, ...extras, attrs);
  const made = averages ? b.add(attended, meansOfUnseen(b, [operands[0], operands[2]], hidden!)) : attended;
  return { out: back(made, roles.valueWidth, roles.outLabels, root) };
}

/** The score function of a soft-cap, cap · tanh(s / cap), with what is added to it afterwards. */
function cappedScore(cap: number, after: Value | undefined): IndexExpr {
  const capped = softCap(cap);
  return after ? applied("add", capped, atScore(0, after.type)) : capped;
}

/** Whether rows that see nothing are zero; where masks are finite, such rows weigh their keys alike instead. */
function clearsRows({ path }: Candidate, { fills, biases }: Collected): boolean | Miss {
  const infinite = fills.filter((fill) => fill === Number.NEGATIVE_INFINITY);
  if (infinite.length === 0) return biases.length > 0;
  const other = fills.find((fill) => fill !== Number.NEGATIVE_INFINITY);
  if (other === undefined) return true;
  const reason = `masks fill with minus infinity and with ${other}: a row that sees nothing is either`;
  return { depth: 6, reason, at: path.product.results[0]! };
}

/** What is seen: where the masks are on, and a bias is not minus infinity. */
function allSeen(b: Build, mask: Value | undefined, bias: Value | undefined, dtype: DType): Value | undefined {
  if (!bias) return mask;
  const finiteBias = b.less(b.scalar(Number.NEGATIVE_INFINITY, dtype), bias);
  return mask ? b.and(mask, finiteBias) : finiteBias;
}

/** A constant factor of a tensor, found under movements, and the tensor without it. */
function stripScale(b: Build, value: Value): { readonly value: Value; readonly scale: number } {
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

/** A term added to the scores; a mask is one that is zero or very negative. */
interface Term {
  readonly value: Value;
  readonly groups: Groups;
  readonly factor: number;
}

/** A tanh of the scores: what it is multiplied by, and what is added to the scores ahead of it. */
interface Cap {
  readonly factor: number;
  readonly biases: readonly Term[];
  readonly at: Value;
}

interface Collected {
  readonly scale: number;
  readonly cap: Cap | undefined;
  readonly causal: boolean;
  readonly biases: readonly Term[];
  /** Each hides by itself: what two of them hide is hidden deeper than what one does. */
  readonly masks: readonly Conjunction[];
  /** What each mask, the causal one among them, puts in the place of scores. */
  readonly fills: readonly number[];
  /** The causal mask is taken out of one that is finite: rows that see nothing are the mean of the values. */
  readonly averages: boolean;
}

/** Part of a mask, and where its axes are. */
interface Part {
  readonly value: Value;
  readonly groups: Groups;
  readonly axes: PairAxes | undefined;
}

/** Masks of one strength: where several hide a key, it is hidden no deeper than where one does. */
interface Conjunction {
  readonly parts: readonly Part[];
  readonly fill: number;
}

const isTriangle = ({ value, axes }: Part): boolean => axes !== undefined && isCausalMask(value, axes);

/**
 * Whether `attention` may hide later keys by itself. It hides them deeper than any mask, which shows in rows that see
 * nothing: masks that are finite weigh all their keys alike.
 */
function hidesLater(masks: readonly Conjunction[]): boolean {
  const others = masks.flatMap(({ parts }) => parts.filter((part) => !isTriangle(part)));
  return (
    masks.every(({ fill }) => fill === Number.NEGATIVE_INFINITY) ||
    others.every(({ value, axes }) => axes !== undefined && seesItself(value, axes))
  );
}

/**
 * Whether rows that see nothing weigh all keys alike under masks one of which is causal: there is one conjunction, so deep
 * that it swallows scores, and what else is in it hides keys from all queries alike.
 */
function averagesUnseen(masks: readonly Conjunction[]): boolean {
  const [mask, ...more] = masks;
  if (!mask || more.length > 0 || !(mask.fill <= swallows) || mask.fill === Number.NEGATIVE_INFINITY) return false;
  const others = mask.parts.filter((part) => !isTriangle(part));
  return others.length < mask.parts.length && others.every(hidesFromAll);
}

/** A mask of keys, the same for every query. */
const hidesFromAll = ({ value, axes }: Part): boolean =>
  axes !== undefined && (value.type.shape.at(-1 - axes.query) ?? 1) === 1;

function withoutTriangles(masks: readonly Conjunction[]): readonly Conjunction[] {
  const rest = masks.map(({ parts, fill }) => ({ fill, parts: parts.filter((part) => !isTriangle(part)) }));
  return rest.filter(({ parts }) => parts.length > 0);
}

function collect({ path, groups, roles }: Candidate, b: Build, withWeights: boolean): Collected | Miss {
  let scale = 1;
  let cap: (Cap & { readonly biases: Term[] }) | undefined;
  const biases: Term[] = [];
  const triangles: Term[] = [];
  const added: Conjunction[] = [];
  const replacing: Part[] = [];
  /** What masks put in the place of scores. */
  let replaced: number | undefined;
  // Steps are nearest the softmax first; going down, what is above multiplies what is below.
  for (const [i, step] of path.steps.entries()) {
    const at = groups[i + 1]!;
    const axes = pairAxes(at, roles);
    const partsOf = (mask: Value) => conjuncts(mask).map((value) => ({ value, groups: at, axes }));
    if (step.kind === "scale") {
      if (!(step.factor > 0) && biases.length + triangles.length + added.length + replacing.length > 0)
        return { depth: 6, reason: `the scale ${step.factor} is not positive`, at: step.node.results[0]! };
      scale *= step.factor;
    } else if (step.kind === "cap") {
      const here = step.node.results[0]!;
      if (cap) return { depth: 6, reason: "scores are capped twice", at: here };
      if (!(scale > 0)) return { depth: 6, reason: `the scale ${scale} is not positive`, at: here };
      cap = { factor: scale, biases: [], at: here };
      scale = 1;
    } else if (cap && step.kind === "bias") {
      const factor = scale * cap.factor;
      cap.biases.push({ value: step.value, groups: at, factor: step.negate ? -factor : factor });
    } else if (step.kind === "mask") {
      if (cap) return { depth: 6, reason: maskedAhead, at: step.node.results[0]! };
      const other = replaced ?? step.fill * scale;
      if (step.fill * scale !== other)
        return {
          depth: 6,
          reason: `masks fill with ${step.fill * scale} and ${other}: a row that sees nothing else weighs by the larger`,
          at: step.node.results[0]!,
        };
      replaced = other;
      replacing.push(...partsOf(step.keeps ? step.mask : b.not(step.mask)));
    } else if (step.kind === "bias") {
      const term = { value: step.value, groups: at, factor: step.negate ? -scale : scale };
      const mask = step.negate ? undefined : maskOfBias(step.value, isMasked);
      if (mask && replaced !== undefined) replacing.push(...partsOf(mask.mask));
      else if (mask) added.push({ parts: partsOf(mask.mask), fill: mask.fill * scale });
      else if (axes && !step.negate && isCausalBias(step.value, axes, isMasked)) triangles.push(term);
      else biases.push(term);
    }
  }
  const masks = replaced === undefined ? added : [...added, { parts: replacing, fill: Math.min(replaced, swallows) }];
  const fills = masks.map(({ fill }) => fill);
  const hides = hidesLater(masks);
  // What is added to a replaced score still counts; a mask that is added swallows it.
  const swallowed = triangles.length === 0 && (biases.length === 0 || replaced === undefined);
  const averages = !withWeights && !hides && swallowed && averagesUnseen(masks);
  const inside = hides || averages;
  const causal = inside && (triangles.length > 0 || masks.some(({ parts }) => parts.some(isTriangle)));
  if (inside) return { scale, cap, causal, biases, masks: withoutTriangles(masks), fills, averages };
  return { scale, cap, causal, biases: [...biases, ...triangles], masks, fills, averages };
}

/** Where the axes of queries and keys are, counted from the last; undefined where they are merged with others. */
export function pairAxes(groups: Groups, roles: Pick<Roles, "query" | "key">): PairAxes | undefined {
  const [label] = roles.query;
  const query = groups.findIndex((group) => group.length === 1 && group[0] === label);
  const key = groups.findIndex((group) => group.length === 1 && group[0] === roles.key);
  if (query < 0 || key < 0) return undefined;
  return { query: groups.length - 1 - query, key: groups.length - 1 - key };
}

/** The axes of scores: [batch, heads, queries, keys]. */
const pairGroups = (roles: Roles): Groups => [roles.batch, [...roles.head, ...roles.group], roles.query, [roles.key]];

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

const least: Readonly<Record<string, number>> = {
  f16: -65504,
  f32: -3.4028234663852886e38,
  bf16: -3.3895313892515355e38,
  f64: -Number.MAX_VALUE,
};

/** A very negative number its type can hold, and not its lowest where that swallows too; infinity stays what it is. */
const finite = (fill: number, dtype: string): number => {
  if (fill === Number.NEGATIVE_INFINITY) return fill;
  const lowest = least[dtype] ?? fill;
  return lowest < swallows ? Math.max(fill, swallows) : Math.max(fill, lowest);
};
