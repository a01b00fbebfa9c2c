import { type Dim, divideExact, isStatic, mul } from "../../../../ir/dim.ts";
import type { Value } from "../../../../ir/graph.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";
import { attendAtOnce, joinHeads, notPadding, type Parts, splitHeads, widthOf, withPast } from "./attention.ts";
import { matrixProduct } from "./products.ts";

/** One of several tensors that lie side by side in an axis, without that axis. */
function one(cx: NodeContext, x: Value, axis: number, i: number): Value {
  const cut = cx.b.slice(x, { axis, start: i, end: i + 1 });
  return cx.b.reshape(cut, { shape: x.type.shape.filter((_, at) => at !== axis) });
}

/** [batch, length, heads, width] as [batch, heads, length, width]. */
const headsFirst = (cx: NodeContext, x: Value): Value => cx.b.transpose(x, { perm: [0, 2, 1, 3] });

/** What a mask adds to the scores of `k`, rank 4: 0 where it is 1, `hidden` where it is 0. */
function maskBias(cx: NodeContext, mask: Value, { type }: Value, hidden: number): Value {
  const { b } = cx;
  const [batch, first, second] = mask.type.shape as [Dim, Dim | undefined, Dim | undefined];
  const bias = (seen: Value) => b.select(seen, b.scalar(0, "f32"), b.scalar(hidden, "f32"));
  if (first === undefined) return bias(withinLengths(cx, mask, type.shape[0]!, type.shape[2]!));
  const seen = b.not(b.equal(mask, b.scalar(0, mask.type.dtype)));
  return b.reshape(bias(seen), {
    shape: second === undefined ? [batch, 1, 1, first] : [batch, 1, first, second],
  });
}

/** [batch, 1, 1, keys]: keys before the end of their sequence, and, where starts follow the ends, none before its start. */
function withinLengths(cx: NodeContext, lengths: Value, batch: Dim, keys: Dim): Value {
  const { b } = cx;
  const counts = b.cast(lengths, { to: "i64" });
  if (lengths.type.shape[0] !== mul(2, batch)) {
    cx.same(lengths.type.shape[0]!, batch);
    return notPadding(cx, counts, keys);
  }
  const [ends, starts] = [0, 1].map((i) => {
    const own = b.slice(counts, { axis: 0, start: mul(i, batch), end: mul(i + 1, batch) });
    return notPadding(cx, own, keys);
  }) as [Value, Value];
  return b.and(ends, b.not(starts));
}

/** Columns `from` to `from + size` of a bias for q, k and v together. */
const columns = (cx: NodeContext, x: Value, from: number, size: number): Value =>
  cx.b.slice(x, { axis: -1, start: from, end: from + size });

function scaleOf(cx: NodeContext, q: Value): number {
  const given = cx.float("scale", 0);
  return given === 0 ? 1 / Math.sqrt(widthOf(q)) : given;
}

const hiddenScore = (cx: NodeContext): number => Math.fround(cx.float("mask_filter_value", -10000));

/** The attention in one op; causal queries begin behind the cache. */
function attend(cx: NodeContext, parts: Omit<Parts, "masks" | "softcap">): Value {
  if (parts.q.type.dtype !== "f32") return unmodelled(`it is of ${parts.q.type.dtype}`);
  return attendAtOnce(cx, { ...parts, masks: [], softcap: 0 })!;
}

/** q, k and v as MultiHeadAttention takes them: apart, packed with an axis for each, or keys and values of an encoder with heads first. */
function projected(cx: NodeContext, heads: number): readonly [Value, Value, Value] {
  const q = cx.value(0);
  if (q.type.shape.length === 5) return [0, 1, 2].map((i) => headsFirst(cx, one(cx, q, 3, i))) as [Value, Value, Value];
  const key = cx.has(1) ? cx.value(1) : unmodelled("it has no keys");
  const split = splitHeads(cx, q, heads);
  if (key.type.shape.length === 5)
    return [split, headsFirst(cx, one(cx, key, 3, 0)), headsFirst(cx, one(cx, key, 3, 1))];
  const values = cx.value(2);
  if (key.type.shape.length === 4) return [split, key, values];
  return [split, splitHeads(cx, key, heads), splitHeads(cx, values, heads)];
}

/** A bias of q, k and v, one after the other, in the shape of heads. */
function biased(cx: NodeContext, parts: readonly [Value, Value, Value], bias: Value): [Value, Value, Value] {
  let from = 0;
  return parts.map((x) => {
    const [, heads, , width] = x.type.shape as [number, number, Dim, number];
    const own = columns(cx, bias, from, heads * width);
    from += heads * width;
    return cx.b.add(x, cx.b.reshape(own, { shape: [1, heads, 1, width] }));
  }) as [Value, Value, Value];
}

const multiHead: Conversion = (cx) => {
  if (cx.has(8) || cx.has(9) || cx.isUsed(3)) return unmodelled("it writes into a given cache, or gives its scores");
  const heads = cx.int("num_heads") ?? unmodelled("it has no num_heads");
  const encoded = cx.inputs[1]?.type.shape.length === 4;
  const plain = projected(cx, heads);
  plain.forEach(widthOf);
  if (cx.has(3) && encoded) return unmodelled("it has a bias and an encoder's keys");
  const [q, newK, newV] = cx.has(3) ? biased(cx, plain, cx.value(3)) : plain;
  const past = cx.has(6) ? cx.value(6) : undefined;
  const [k, v] = [withPast(cx, past, newK), withPast(cx, cx.has(7) ? cx.value(7) : undefined, newV)];
  cx.same(q.type.shape[0]!, k.type.shape[0]!);
  cx.same(k.type.shape[2]!, v.type.shape[2]!);
  const causal = cx.flag("unidirectional", false);
  const biases = [
    ...(cx.has(4) ? [maskBias(cx, cx.value(4), k, hiddenScore(cx))] : []),
    ...(cx.has(5) ? [cx.value(5)] : []),
  ];
  fitting(cx, biases, [q.type.shape[0]!, heads, q.type.shape[2]!, k.type.shape[2]!]);
  const offset = causal ? (past?.type.shape[2] ?? 0) : undefined;
  return [joinHeads(cx, attend(cx, { q, k, v, scale: scaleOf(cx, q), biases, offset })), k, v];
};

function fitting(cx: NodeContext, biases: readonly Value[], scores: readonly Dim[]): void {
  for (const { type } of biases)
    type.shape.forEach((dim, axis) => {
      if (dim !== 1) cx.same(dim, scores[axis]!);
    });
}

/** Attention with the product that makes q, k and v of one tensor. */
const merged: Conversion = (cx) => {
  if (cx.flag("do_rotary", false) || cx.has(6)) return unmodelled("it turns its heads, or writes into a given cache");
  const heads = cx.int("num_heads") ?? unmodelled("it has no num_heads");
  const total = cx.operand(1).type.shape[1]!;
  const given = cx.ints("qkv_hidden_sizes");
  const third = divideExact(total, 3) ?? 0;
  const sizes = given?.length ? given : [third, third, third];
  if (!sizes.every((size): size is number => isStatic(size) && size > 0)) return unmodelled("its widths are not known");
  const product = matrixProduct(cx, cx.value(0), cx.value(1));
  const all = cx.has(2) ? cx.b.add(product, cx.value(2)) : product;
  let from = 0;
  const [q, newK, newV] = sizes.map((size) => {
    const own = columns(cx, all, from, size);
    from += size;
    return splitHeads(cx, own, heads);
  }) as [Value, Value, Value];
  const past = cx.has(4) ? cx.value(4) : undefined;
  const half = (i: number) => past && one(cx, past, 0, i);
  const [k, v] = [withPast(cx, half(0), newK), withPast(cx, half(1), newV)];
  const causal = cx.flag("unidirectional", false);
  const biases = [
    ...(cx.has(3) ? [maskBias(cx, cx.value(3), k, hiddenScore(cx))] : []),
    ...(cx.has(5) ? [cx.value(5)] : []),
  ];
  fitting(cx, biases, [q.type.shape[0]!, heads, q.type.shape[2]!, k.type.shape[2]!]);
  const offset = causal ? (past?.type.shape[3] ?? 0) : undefined;
  const result = joinHeads(cx, attend(cx, { q, k, v, scale: scaleOf(cx, q), biases, offset }));
  if (!cx.isUsed(1)) return result;
  const row = (x: Value) => cx.b.reshape(x, { shape: [1, ...x.type.shape] });
  return [result, cx.b.concat(row(k), row(v), { axis: 0 })];
};

/** Attention of `com.microsoft`, as the runtime's own optimiser and Python tools write it. */
export const contribAttention: Readonly<Record<string, Conversion>> = {
  Attention: merged,
  MultiHeadAttention: multiHead,
};
