import { allOf, attentionShapes, causalMask, clearRows, groupedProduct, seenRows } from "../../../../ir/attend.ts";
import { type Dim, divideExact, isStatic, mul, show, sub } from "../../../../ir/dim.ts";
import type { DType } from "../../../../ir/dtype.ts";
import type { Value } from "../../../../ir/graph.ts";
import { applied, constant, index, length, score } from "../../../../ir/index-expr/types.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";

/** An attention as its parts: q, k and v are [batch, heads, length, width], masks and biases rank 4. */
export interface Parts {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly scale: number;
  /** True where a key is seen. */
  readonly masks: readonly Value[];
  /** Added to the scores, after `softcap`. */
  readonly biases: readonly Value[];
  /** Query i sees keys up to this one + i; undefined for all keys. */
  readonly offset?: Dim | undefined;
  /** Scores become softcap · tanh(score / softcap); 0 leaves them. */
  readonly softcap: number;
}

/** [batch, length, heads · width] as [batch, heads, length, width]. */
export function splitHeads(cx: NodeContext, x: Value, heads: number): Value {
  const [batch, size, width] = x.type.shape as [Dim, Dim, Dim];
  const each = divideExact(width, heads) ?? unmodelled(`${heads} heads do not divide ${show(width)}`);
  return cx.b.transpose(cx.b.reshape(x, { shape: [batch, size, heads, each] }), { perm: [0, 2, 1, 3] });
}

export function joinHeads(cx: NodeContext, x: Value): Value {
  const [batch, heads, size, width] = x.type.shape as [Dim, Dim, Dim, Dim];
  return cx.b.reshape(cx.b.transpose(x, { perm: [0, 2, 1, 3] }), { shape: [batch, size, mul(heads, width)] });
}

/** What a cache holds, then what is new. */
export function withPast(cx: NodeContext, past: Value | undefined, x: Value): Value {
  if (!past) return x;
  for (const axis of [0, 1, 3]) cx.same(past.type.shape[axis]!, x.type.shape[axis]!);
  return cx.b.concat(past, x, { axis: 2 });
}

export function widthOf({ type }: Value): number {
  const width = type.shape.at(-1)!;
  return isStatic(width) ? width : unmodelled("the width of its heads is known at run time only");
}

const sum = (cx: NodeContext, biases: readonly Value[]): Value | undefined =>
  biases.length === 0 ? undefined : biases.reduce((x, y) => cx.b.add(x, y));

/** The mask of a causal attention whose queries begin at `offset`: [1, 1, queries, keys]. */
function causalFrom(cx: NodeContext, { q, k }: Parts, offset: Dim): Value {
  const [Q, K] = [q.type.shape[2]!, k.type.shape[2]!];
  if (offset === 0) return causalMask(cx.b, { Q, K });
  const rows = cx.b.reshape(cx.b.iota({ size: Q }), { shape: [1, 1, Q, 1] });
  const moved = cx.b.add(rows, isStatic(offset) ? cx.b.scalar(offset, "i64") : cx.b.size({ of: offset }));
  return cx.b.lessEqual(cx.b.reshape(cx.b.iota({ size: K }), { shape: [1, 1, 1, K] }), moved);
}

/** k ≤ q + K - Q: the last query sees all keys. */
const fromTheEnd = applied(
  "lessEqual",
  index("k"),
  applied("add", index("q"), applied("sub", length("K"), length("Q"))),
);

/** The attention as one op; undefined where it has no form for a bias after the softcap. */
export function attendAtOnce(cx: NodeContext, parts: Parts): Value | undefined {
  const { q, k, v, scale, softcap, offset } = parts;
  const bias = sum(cx, parts.biases);
  if (softcap !== 0 && bias) return undefined;
  const [Q, K] = [q.type.shape[2]!, k.type.shape[2]!];
  const causal = offset === 0;
  const aligned = !causal && offset !== undefined && offset === sub(K, Q);
  const own = offset !== undefined && !causal && !aligned ? [causalFrom(cx, parts, offset)] : [];
  const mask = allOf(cx.b, [...parts.masks, ...own]);
  const capped = applied("mul", constant(softcap), applied("tanh", applied("div", score(), constant(softcap))));
  return cx.b.attention(q, k, v, ...[mask, bias].filter((x) => x !== undefined), {
    scale,
    causal,
    ...(aligned && { mask: fromTheEnd }),
    ...(softcap !== 0 && { score: capped }),
  });
}

/** The attention in its steps: scores as they are scaled, capped, masked and normalised, and the result. */
function attendStepwise(cx: NodeContext, parts: Parts, precision: DType = parts.q.type.dtype) {
  const { b } = cx;
  const { q, k, v, scale, softcap } = parts;
  const { dtype } = q.type;
  const sizes = attentionShapes(q.type, k.type, v.type);
  const scaled = b.mul(groupedProduct(b, sizes, q, k, "q d", "k d", "q k", sizes.keys), b.scalar(scale, dtype));
  const cap = b.scalar(softcap, dtype);
  const capped = softcap === 0 ? scaled : b.mul(b.tanh(b.div(scaled, cap)), cap);
  const bias = sum(cx, parts.biases);
  const biased = bias ? b.add(capped, bias) : capped;
  const own = parts.offset === undefined ? undefined : causalFrom(cx, parts, parts.offset);
  const mask = allOf(b, [...parts.masks, own]);
  const masked = mask ? b.select(mask, biased, b.scalar(Number.NEGATIVE_INFINITY, dtype)) : biased;
  const exact =
    precision === dtype ? b.softmax(masked) : b.cast(b.softmax(b.cast(masked, { to: precision })), { to: dtype });
  const open = mask && parts.masks.length > 0 ? seenRows(b, mask) : undefined;
  const weights = open ? clearRows(b, exact, open) : exact;
  const result = groupedProduct(b, sizes, weights, v, "q k", "k d", "q d", sizes.valueWidth);
  return { scaled, capped, masked, weights, result };
}

/** A mask of up to 4 axes over [batch, heads, queries, keys], stretched to rank 4; keys it does not reach are hidden. */
function rank4Mask(cx: NodeContext, mask: Value, keys: Dim): Value {
  const { dtype, shape } = mask.type;
  const last = shape.at(-1) ?? unmodelled("its mask is a scalar");
  const full = cx.b.reshape(mask, { shape: [...Array.from({ length: 4 - shape.length }, () => 1), ...shape] });
  if (last === keys) return full;
  const missing = sub(keys, last);
  if (!isStatic(missing)) {
    cx.same(last, keys);
    return full;
  }
  if (missing < 0 || last === 1) return unmodelled(`its mask has ${show(last)} of ${show(keys)} keys`);
  const hidden = dtype === "bool" ? 0 : Number.NEGATIVE_INFINITY;
  return cx.b.pad(full, { axis: 3, low: 0, high: missing, value: hidden });
}

function sameSizes(cx: NodeContext, { q, k, v, masks, biases }: Parts): void {
  const [qs, ks, vs] = [q, k, v].map(({ type }) => type.shape) as [readonly Dim[], readonly Dim[], readonly Dim[]];
  cx.same(qs[0]!, ks[0]!);
  cx.same(qs[3]!, ks[3]!);
  for (const axis of [0, 1, 2]) cx.same(ks[axis]!, vs[axis]!);
  const scores = [qs[0]!, qs[1]!, qs[2]!, ks[2]!];
  for (const { type } of [...masks, ...biases])
    type.shape.forEach((dim, axis) => {
      if (dim !== 1) cx.same(dim, scores[axis]!);
    });
}

/** Keys of each sequence that are no padding: [batch, 1, 1, keys]. */
export function notPadding(cx: NodeContext, counts: Value, keys: Dim): Value {
  const at = cx.b.reshape(cx.b.iota({ size: keys }), { shape: [1, 1, 1, keys] });
  return cx.b.less(at, cx.b.reshape(counts, { shape: [counts.type.shape[0]!, 1, 1, 1] }));
}

/**
 * Attention of opset 23 and 24: softcap, then mask, as release 1.22 of the standard says. Without a cache query i sees keys
 * up to i where it is causal, with one up to past + i.
 */
const attention: Conversion = (cx) => {
  const heads = (i: number, name: string) => {
    const x = cx.value(i);
    return x.type.shape.length === 3 ? splitHeads(cx, x, cx.int(name) ?? unmodelled(`it has no ${name}`)) : x;
  };
  const packed = cx.operand(0).type.shape.length === 3;
  const [q, newK, newV] = [heads(0, "q_num_heads"), heads(1, "kv_num_heads"), heads(2, "kv_num_heads")];
  const past = cx.has(4) ? cx.value(4) : undefined;
  const [k, v] = [withPast(cx, past, newK), withPast(cx, cx.has(5) ? cx.value(5) : undefined, newV)];
  const causal = cx.flag("is_causal", false);
  const keys = k.type.shape[2]!;
  if (causal && cx.has(6)) return unmodelled("releases of the standard disagree where its causal queries begin");
  if ((cx.int("left_window_size") ?? -1) >= 0 || (cx.int("right_window_size") ?? -1) >= 0)
    return unmodelled("it sees a window of keys");
  const given = cx.has(3) ? rank4Mask(cx, cx.value(3), keys) : undefined;
  const isMask = given?.type.dtype === "bool";
  const parts: Parts = {
    ...{ q, k, v },
    scale: cx.float("scale") ?? 1 / Math.sqrt(widthOf(q)),
    masks: [...(given && isMask ? [given] : []), ...(cx.has(6) ? [notPadding(cx, cx.value(6), keys)] : [])],
    biases: given && !isMask ? [given] : [],
    offset: causal ? (past?.type.shape[2] ?? 0) : undefined,
    softcap: cx.float("softcap", 0),
  };
  sameSizes(cx, parts);
  const { result, scores } = computed(cx, parts);
  return [packed ? joinHeads(cx, result) : result, k, v, scores];
};

function computed(cx: NodeContext, parts: Parts): { readonly result: Value; readonly scores?: Value } {
  const { dtype } = parts.q.type;
  const precision = cx.dtype("softmax_precision", dtype);
  const plain = !cx.isUsed(3) && precision === dtype ? attendAtOnce(cx, parts) : undefined;
  if (plain) return { result: plain };
  const { scaled, capped, masked, weights, result } = attendStepwise(cx, parts, precision);
  const scores = [scaled, capped, masked, weights][cx.int("qk_matmul_output_mode", 0)];
  return { result, ...(scores && { scores }) };
}

/** Attention of the standard domain. */
export const attentionConversions: Readonly<Record<string, Conversion>> = { Attention: attention };
