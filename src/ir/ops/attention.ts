import { type Attrs, attr, optional } from "../attrs.ts";
import { add, type Dim, divideExact, mul, product } from "../dim.ts";
import { type DType, isFloat } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { defineOp, type Emit, type InferContext } from "../op-def.ts";
import { broadcastShapes, sameShape, showShape, showType, type TensorType } from "../types.ts";

const attentionAttrs = {
  scale: attr("float", "factor of the scores before mask and normaliser"),
  causal: optional("bool", "query i sees keys 0 … i only, both counted from the start", false),
  normaliser: optional("string", '"softmax" over the keys, or "none"', "softmax"),
};
const packedAttrs = {
  heads: attr("int", "number of query heads"),
  kvHeads: attr("int", "number of key and value heads"),
  ...attentionAttrs,
};

const constraints = {
  C1: "q, k and v are rank 4, [batch, heads, length, width], of one floating-point type",
  C2: "batches are equal, k and v have equal heads and lengths, q and k equal widths",
  C3: "the number of query heads is a multiple of the number of key heads",
  C4: "after v come at most one mask (bool) and one bias (element type of q), rank 4, which stretch to [batch, heads, queries, keys]",
  C5: 'normaliser is "softmax" or "none"',
};

/** The sizes of an attention. */
export interface AttentionShapes {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly kvHeads: Dim;
  readonly group: Dim;
  readonly queries: Dim;
  readonly keys: Dim;
  readonly width: Dim;
  readonly valueWidth: Dim;
}

/** The sizes of an attention, from the rank-4 shapes of q, k and v. */
export function attentionShapes(q: TensorType, k: TensorType, v: TensorType): AttentionShapes {
  const [batch, heads, queries, width] = q.shape as [Dim, Dim, Dim, Dim];
  const [, kvHeads, keys] = k.shape as [Dim, Dim, Dim];
  const group = divideExact(heads, kvHeads) ?? 0;
  return { batch, heads, kvHeads, group, queries, keys, width, valueWidth: v.shape[3]! };
}

type Infer = InferContext<typeof attentionAttrs>;

function inferRank4(cx: Infer, q: TensorType, k: TensorType, v: TensorType): TensorType {
  const { attrs, require } = cx;
  const uniform = [q, k, v].every(({ dtype, shape }) => dtype === q.dtype && shape.length === 4);
  require(uniform && isFloat(q.dtype), "C1", `q, k, v are ${[q, k, v].map(showType).join(", ")}`);
  const s = attentionShapes(q, k, v);
  const [kb, , , kw] = k.shape;
  const [vb, vh, vs] = v.shape;
  const fits = kb === s.batch && vb === s.batch && vh === s.kvHeads && vs === s.keys && kw === s.width;
  require(fits, "C2", `q ${showShape(q.shape)}, k ${showShape(k.shape)} and v ${showShape(v.shape)} do not fit`);
  require(s.group !== 0, "C3", `${String(s.heads)} query heads over ${String(s.kvHeads)} key heads`);
  require(attrs.normaliser === "softmax" ||
    attrs.normaliser === "none", "C5", `"${attrs.normaliser}" is no normaliser`);
  const extras = cx.types.slice(3);
  const scores = [s.batch, s.heads, s.queries, s.keys];
  const kinds = extras.map(({ dtype }) => (dtype === "bool" ? "mask" : "bias"));
  require(new Set(kinds).size === kinds.length, "C4", `there are ${extras.length} operands after v`);
  for (const extra of extras) {
    require(extra.dtype === "bool" || extra.dtype === q.dtype, "C4", `${showType(extra)} is neither mask nor bias`);
    const common = extra.shape.length === 4 ? broadcastShapes(extra.shape, scores) : undefined;
    require(common && sameShape(common, scores), "C4", `${showType(extra)} does not stretch to ${showShape(scores)}`);
  }
  return { dtype: q.dtype, shape: [s.batch, s.heads, s.queries, s.valueWidth] };
}

/** Dense cost, mask or not: both products and the normaliser. */
function attentionCost(s: AttentionShapes, normaliser: string): Dim {
  const pairs = product([s.batch, s.heads, s.queries, s.keys]);
  const products = mul(mul(2, pairs), add(s.width, s.valueWidth));
  return add(products, mul(normaliser === "softmax" ? 6 : 1, pairs));
}

/** The most negative finite number: masks with it, so that a fully masked row stays finite until it is zeroed. */
export const lowest: Readonly<Partial<Record<DType, number>>> = {
  f64: -Number.MAX_VALUE,
  f32: -3.4028234663852886e38,
  bf16: -3.3895313892515355e38,
  f16: -65504,
};

/** [queries, keys], true where key ≤ query. */
export function causalMask(b: Emit, s: AttentionShapes): Value {
  const queries = b.reshape(b.iota({ size: s.queries }), { shape: [s.queries, 1] });
  const keys = b.reshape(b.iota({ size: s.keys }), { shape: [1, s.keys] });
  return b.reshape(b.lessEqual(keys, queries), { shape: [1, 1, s.queries, s.keys] });
}

/** The mask and bias among the operands after v. */
export const attentionExtras = (extras: readonly Value[]) => ({
  mask: extras.find((value) => value.type.dtype === "bool"),
  bias: extras.find((value) => value.type.dtype !== "bool"),
});

function attend(b: Emit, [q, k, v, ...extras]: readonly Value[], attrs: Attrs<typeof attentionAttrs>): Value {
  const s = attentionShapes(q!.type, k!.type, v!.type);
  const { dtype } = q!.type;
  const { mask: given, bias } = attentionExtras(extras);
  const raw = b.mul(groupedProduct(b, s, q!, k!, "q d", "k d", "q k", s.keys), b.scalar(attrs.scale, dtype));
  const scores = bias ? b.add(raw, bias) : raw;
  const causal = attrs.causal ? causalMask(b, s) : undefined;
  const mask = given && causal ? b.and(given, causal) : (given ?? causal);
  const soft = attrs.normaliser === "softmax";
  const masked = mask ? b.select(mask, scores, b.scalar(soft ? lowest[dtype]! : 0, dtype)) : scores;
  const out = groupedProduct(b, s, soft ? b.softmax(masked) : masked, v!, "q k", "k d", "q d", s.valueWidth);
  return soft && given ? zeroUnseen(b, out, mask!) : out;
}

/** Rows whose keys are all masked are zero. */
export function zeroUnseen(b: Emit, out: Value, mask: Value): Value {
  const { dtype } = out.type;
  const seen = b.reduceMax(b.cast(mask, { to: "i32" }), { axes: [-1], keepDims: true });
  return b.select(b.cast(seen, { to: "bool" }), out, b.scalar(0, dtype));
}

/** One product per query head; the heads of a group share the right operand. */
export function groupedProduct(
  b: Emit,
  s: AttentionShapes,
  x: Value,
  y: Value,
  xs: string,
  ys: string,
  out: string,
  last: Dim,
): Value {
  if (s.group === 1) return b.contract(x, y, { spec: `b h ${xs}, b h ${ys} -> b h ${out}` });
  const split = [s.batch, s.kvHeads, s.group, s.queries, x.type.shape[3]!];
  const grouped = b.contract(b.reshape(x, { shape: split }), y, { spec: `b h g ${xs}, b h ${ys} -> b h g ${out}` });
  return b.reshape(grouped, { shape: [s.batch, s.heads, s.queries, last] });
}

/** [batch, length, heads·width] as [batch, heads, length, width]. */
const headsShape = ({ dtype, shape }: TensorType, heads: number): TensorType => ({
  dtype,
  shape: [shape[0]!, heads, shape[1]!, divideExact(shape[2]!, heads) ?? 0],
});

function splitHeads(b: Emit, x: Value, heads: number): Value {
  const [batch, , length, width] = headsShape(x.type, heads).shape as [Dim, Dim, Dim, Dim];
  return b.transpose(b.reshape(x, { shape: [batch, length, heads, width] }), { perm: [0, 2, 1, 3] });
}

export const attention = {
  attention: defineOp({
    name: "attention",
    doc: "Scaled dot-product attention (Vaswani et al., arXiv:1706.03762): normaliser(scale · q kᵀ + bias, masked) v. Query heads share key heads in groups (Ainslie et al., arXiv:2305.13245). Rows that see no key are zero.",
    operands: ["q", "k", "v", "...extras"],
    attrs: attentionAttrs,
    traits: ["composite"],
    constraints,
    infer: (cx) => inferRank4(cx, cx.types[0]!, cx.types[1]!, cx.types[2]!),
    cost: ({ types, attrs }) => attentionCost(attentionShapes(types[0]!, types[1]!, types[2]!), attrs.normaliser),
    decompose: (b, operands, attrs) => attend(b, operands, attrs),
  }),
  packedAttention: defineOp({
    name: "packedAttention",
    doc: "Attention whose heads lie side by side in the last axis: q, k, v and the result are [batch, length, heads·width].",
    operands: ["q", "k", "v", "...extras"],
    attrs: packedAttrs,
    traits: ["composite"],
    constraints: { ...constraints, C6: "q, k and v are rank 3 and the heads divide their last axes" },
    infer: (cx) => {
      const [q, k, v] = cx.types as [TensorType, TensorType, TensorType];
      const { heads, kvHeads } = cx.attrs;
      const fits = [q, k, v].every(({ shape }) => shape.length === 3) && heads > 0 && kvHeads > 0;
      cx.require(fits, "C6", `q, k, v are ${[q, k, v].map(showType).join(", ")}`);
      const split = [headsShape(q, heads), headsShape(k, kvHeads), headsShape(v, kvHeads)] as const;
      cx.require(
        split.every(({ shape }) => shape[3] !== 0),
        "C6",
        `${heads} and ${kvHeads} heads do not divide ${[q, k, v].map(({ shape }) => String(shape[2])).join(", ")}`,
      );
      const { shape } = inferRank4(cx, ...split);
      return { dtype: q.dtype, shape: [shape[0]!, shape[2]!, mul(heads, shape[3]!)] };
    },
    cost: ({ types, attrs }) => {
      const [q, k, v] = types as [TensorType, TensorType, TensorType];
      const split = [headsShape(q, attrs.heads), headsShape(k, attrs.kvHeads), headsShape(v, attrs.kvHeads)] as const;
      return attentionCost(attentionShapes(...split), attrs.normaliser);
    },
    decompose: (b, [q, k, v, ...extras], { heads, kvHeads, ...attrs }) => {
      const parts = [splitHeads(b, q!, heads), splitHeads(b, k!, kvHeads), splitHeads(b, v!, kvHeads)];
      const out = b.transpose(b.attention(...parts, ...extras, attrs), { perm: [0, 2, 1, 3] });
      const [batch, length, , width] = out.type.shape as [Dim, Dim, Dim, Dim];
      return b.reshape(out, { shape: [batch, length, mul(heads, width)] });
    },
  }),
};
