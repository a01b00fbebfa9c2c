import type { Arena, Build } from "../../ir/arena.ts";
import type { Dim } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { sameShape } from "../../ir/types.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { arrange, arrangeBroadcast, type Groups, spread } from "./axes.ts";
import { conjuncts, isCausalBias, isCausalMask, maskOfBias, type PairAxes } from "./causal.ts";
import type { Candidate } from "./match.ts";
import type { Roles } from "./roles.ts";

const maskedBelow = -1e4;
/**
 * Added where a mask is off. It swallows any score in every precision, so that a row that sees nothing weighs its keys
 * alike, as it does where scores are replaced; kernels clear such rows only for the very lowest number.
 */
const swallows = -1e38;
/** Hidden in place, scores are written once; as a bias the mask is a second tensor of their size. */
export const ownMasks = "each score has a mask of its own: kernels would take it as a second tensor of that size";
const isMasked = (element: number): boolean => element <= maskedBelow;

/** Builds the composite a candidate stands for: movement, `attention` on rank 4, movement back. */
export function buildAttention(candidate: Candidate, arena: Arena): Value | Miss {
  const b = arena.build;
  const { roles, values } = candidate;
  const q = stripScale(b, roles.q);
  const k = stripScale(b, roles.k);
  const collected = collect(candidate, b);
  if ("reason" in collected) return collected;
  const scale = q.scale * k.scale * collected.scale;
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
  const hidden = maskOf(b, collected, roles);
  const [batch, count, queries] = operands[0].type.shape as [Dim, Dim, Dim];
  const scores = [batch, count, queries, operands[1].type.shape[2]!];
  if (hidden && count !== 1 && sameShape(hidden.type.shape, scores)) return { depth: 6, reason: ownMasks, at: hidden };
  const clears = candidate.guarded ? clearsRows(candidate, collected) : false;
  if (typeof clears !== "boolean") return clears;
  const bias = sumOfBiases(b, collected, clears ? undefined : hidden, roles);
  const mask = clears ? allSeen(b, hidden, bias, operands[0].type.dtype) : undefined;
  const extras = [mask, bias].filter((extra) => extra !== undefined);
  const made = b.attention(...operands, ...extras, { scale, causal: collected.causal });
  arena.inherit(candidate.root.results[0]!, made);
  return spread(b, made, [roles.batch, heads, roles.query, roles.valueWidth], roles.outLabels, roles.sizes);
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

interface Collected {
  readonly scale: number;
  readonly causal: boolean;
  readonly biases: readonly Term[];
  /** Parts of the mask, and what they fill with. */
  readonly masks: readonly { readonly value: Value; readonly groups: Groups }[];
  readonly fill: number;
  /** What each mask, the causal one among them, puts in the place of scores. */
  readonly fills: readonly number[];
}

function collect({ path, groups, roles }: Candidate, b: Build): Collected | Miss {
  let scale = 1;
  let causal = false;
  let fill = 0;
  const fills: number[] = [];
  /** What masks put in the place of scores. */
  let replaced: number | undefined;
  const biases: Term[] = [];
  const masks: { value: Value; groups: Groups }[] = [];
  // Steps are nearest the softmax first; going down, what is above multiplies what is below.
  for (const [i, step] of path.steps.entries()) {
    const at = groups[i + 1]!;
    const axes = pairAxes(at, roles);
    const note = (mask: Value, value: number) => {
      fill = Math.min(fill, value);
      fills.push(value);
      for (const part of conjuncts(mask)) {
        if (axes && isCausalMask(part, axes)) causal = true;
        else masks.push({ value: part, groups: at });
      }
    };
    if (step.kind === "scale") {
      if (!(step.factor > 0) && (biases.length > 0 || masks.length > 0 || causal))
        return { depth: 6, reason: `the scale ${step.factor} is not positive`, at: step.node.results[0]! };
      scale *= step.factor;
    } else if (step.kind === "mask") {
      const other = replaced ?? step.fill * scale;
      if (step.fill * scale !== other)
        return {
          depth: 6,
          reason: `masks fill with ${step.fill * scale} and ${other}: a row that sees nothing else weighs by the larger`,
          at: step.node.results[0]!,
        };
      replaced = other;
      note(step.keeps ? step.mask : b.not(step.mask), Math.min(step.fill * scale, swallows));
    } else if (step.kind === "bias") {
      const mask = step.negate ? undefined : maskOfBias(step.value, isMasked);
      if (mask) note(mask.mask, mask.fill * scale);
      else if (axes && !step.negate && isCausalBias(step.value, axes, isMasked)) causal = true;
      else biases.push({ value: step.value, groups: at, factor: step.negate ? -scale : scale });
    }
  }
  return { scale, causal, biases, masks, fill, fills };
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

/** All masks at once, in the order [batch, heads, queries, keys]. */
function maskOf(b: Build, { masks }: Collected, roles: Roles): Value | undefined {
  const arranged = masks.map(({ value, groups }) => arrangeBroadcast(b, value, groups, pairGroups(roles), roles.sizes));
  return arranged.length > 0 ? arranged.reduce((p, q) => b.and(p, q)) : undefined;
}

/** All that is added to the scores, the mask as zero or very negative, in the order [batch, heads, queries, keys]. */
function sumOfBiases(b: Build, { biases, fill }: Collected, mask: Value | undefined, roles: Roles): Value | undefined {
  const { dtype } = roles.q.type;
  const terms = biases.map(({ value, groups, factor }) => {
    const moved = arrangeBroadcast(b, value, groups, pairGroups(roles), roles.sizes);
    return factor === 1 ? moved : b.mul(moved, b.scalar(factor, dtype));
  });
  if (mask) terms.push(b.select(mask, b.scalar(0, dtype), b.scalar(finite(fill, dtype), dtype)));
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
