import { add, type Dim, divideExact, mul } from "../../../../src/ir/dim.ts";
import type { Value } from "../../../../src/ir/graph.ts";
import type { Maker } from "../random-model.ts";
import { project } from "./linear.ts";

interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  readonly valueWidth: number;
}

/** Attention over x, or over x and a past, from projections to the merged heads. */
export function attend(m: Maker, x: Value): Value {
  const { b, draw, param, arena } = m;
  const h = headsOf(m);
  const bias = draw.chance(0.4);
  const biased = (y: Value) => (bias ? b.add(y, param([y.type.shape.at(-1) as number])) : y);
  const source = draw.chance(0.2) ? m.input("f32", [x.type.shape[0]!, m.past, 3]) : x;
  const q = biased(project(m, x, h.heads * h.width));
  const k = biased(project(m, source, h.kvHeads * h.width));
  const v = draw.chance(0.1) && h.width === h.valueWidth ? k : biased(project(m, source, h.kvHeads * h.valueWidth));
  if (draw.chance(0.1)) {
    const packed = { heads: h.heads, kvHeads: h.kvHeads, scale: draw.pick([0.5, 1]), causal: draw.chance(0.5) };
    return b.packedAttention(q, k, v, packed);
  }
  let [qh, kh, vh] = [split(m, q, h.heads), split(m, k, h.kvHeads), split(m, v, h.kvHeads)];
  if (draw.chance(0.2) && h.width % 2 === 0) [qh, kh] = [roped(m, qh), roped(m, kh)];
  if (draw.chance(0.2)) [kh, vh] = cached(m, kh, vh);
  const o = draw.chance(0.4) ? kernel(m, qh, kh, vh) : spelled(m, qh, kh, vh);
  arena.hint(o, { name: "attended" });
  return draw.chance(0.7) ? project(m, merge(m, o), draw.pick([2, 4, 6])) : merge(m, o);
}

function headsOf({ draw }: Maker): Heads {
  const kvHeads = draw.pick([1, 1, 2, 3]);
  const group = draw.pick([1, 1, 1, 2, 3]);
  const width = draw.pick([1, 2, 4, 8]);
  return { heads: kvHeads * group, kvHeads, width, valueWidth: draw.chance(0.7) ? width : draw.pick([1, 3, 4]) };
}

/** [batch, tokens, heads·width] as [batch, heads, tokens, width]. */
function split({ b }: Maker, x: Value, heads: number): Value {
  const [batch, tokens, features] = x.type.shape as [Dim, Dim, number];
  const apart = b.reshape(x, { shape: [batch, tokens, heads, features / heads] });
  return b.transpose(apart, { perm: [0, 2, 1, 3] });
}

function merge({ b }: Maker, x: Value): Value {
  const [batch, heads, tokens, width] = x.type.shape as [Dim, number, Dim, number];
  return b.reshape(b.transpose(x, { perm: [0, 2, 1, 3] }), { shape: [batch, tokens, mul(heads, width)] });
}

function roped({ b, draw, c }: Maker, x: Value): Value {
  const [, , tokens, width] = x.type.shape as [Dim, Dim, Dim, number];
  const places = b.cast(b.reshape(b.iota({ size: tokens }), { shape: [tokens, 1] }), { to: "f32" });
  const speed = b.div(b.cast(b.iota({ size: width / 2 }), { to: "f32" }), c(3));
  const angles = b.mul(places, b.add(speed, c(0.1)));
  return b.rope(x, b.cos(angles), b.sin(angles), { interleaved: draw.chance(0.5) });
}

/** Keys and values after those of a past. */
function cached(m: Maker, k: Value, v: Value): [Value, Value] {
  const at = (x: Value) => m.input("f32", [x.type.shape[0]!, x.type.shape[1]!, m.past, x.type.shape[3]!]);
  return [m.b.concat(at(k), k, { axis: 2 }), m.b.concat(at(v), v, { axis: 2 })];
}

/** The scores' shape, axes now and then 1. */
function stretching({ draw }: Maker, scores: readonly Dim[], p: number): readonly Dim[] {
  return scores.map((dim, i) => (draw.chance(i < 2 ? 0.6 : p) ? 1 : dim));
}

/** The composite, with whatever it takes. */
function kernel(m: Maker, q: Value, k: Value, v: Value): Value {
  const { b, draw } = m;
  const scores = [q.type.shape[0]!, q.type.shape[1]!, q.type.shape[2]!, k.type.shape[2]!];
  const extras: Value[] = [];
  if (draw.chance(0.4)) extras.push(m.input("bool", stretching(m, scores, 0.2)));
  if (draw.chance(0.3)) extras.push(m.input("f32", stretching(m, scores, 0.2)));
  return b.attention(q, k, v, ...extras, {
    scale: draw.pick([1, 0.5, 0.125, 0.3, -0.5, 0]),
    causal: draw.chance(0.4),
    normaliser: draw.pick(["softmax", "softmax", "softmax", "none"]),
  });
}

/** Scores, masks, softmax and values one by one, in some spelling. */
function spelled(m: Maker, q: Value, k: Value, v: Value): Value {
  const { b, draw, c } = m;
  const heads = q.type.shape[1] as number;
  const [keys, values] = repeated(m, k, v, heads);
  const factor = draw.pick([0.5, 0.25, 0.3, 2]);
  const where = draw.int(0, 4);
  const qs = where === 0 ? b.mul(q, c(factor)) : where === 1 ? b.div(q, c(2)) : q;
  const ks = where === 2 ? b.mul(keys, c(factor)) : keys;
  const turned = draw.chance(0.2);
  const product = draw.chance(0.3)
    ? b.contract(qs, b.transpose(ks, { perm: [0, 1, 3, 2] }), { spec: "b h q d, b h d k -> b h q k" })
    : turned
      ? b.transpose(b.einsum(ks, qs, { spec: "b h k d, b h q d -> b h k q" }), { perm: [0, 1, 3, 2] })
      : b.einsum(qs, ks, { spec: "b h q d, b h k d -> b h q k" });
  const raw = where === 3 ? b.mul(product, c(factor)) : where === 4 ? b.div(product, c(1 / factor)) : product;
  const soft = draw.chance(0.8);
  const { scores, mask } = masked(m, changed(m, raw), soft);
  const weights = soft ? normalised(m, scores) : weighed(m, scores);
  const probs = draw.chance(0.2) ? cleared(m, weights, mask) : weights;
  if (draw.chance(0.1)) m.seen.push(draw.pick([scores, probs, product]));
  return draw.chance(0.8)
    ? b.contract(probs, values, { spec: "b h q k, b h k d -> b h q d" })
    : b.contract(values, probs, { spec: "b h k d, b h q k -> b h q d" });
}

/** Key heads shared by groups of query heads, by repeating them. */
function repeated(m: Maker, k: Value, v: Value, heads: number): readonly [Value, Value] {
  const { b, draw } = m;
  const [, kvHeads] = k.type.shape as [Dim, number];
  const group = divideExact(heads, kvHeads) as number;
  if (group === 1) return [k, v];
  const tiled = draw.chance(0.2);
  const repeat = (x: Value) => {
    const [batch, , length, width] = x.type.shape as [Dim, number, Dim, number];
    if (draw.chance(0.2) && tiled) return b.concat(...Array<Value>(group).fill(x), { axis: 1 });
    const [one, all] = tiled
      ? [
          [1, kvHeads],
          [group, kvHeads],
        ]
      : [
          [kvHeads, 1],
          [kvHeads, group],
        ];
    const five = b.reshape(x, { shape: [batch, ...one!, length, width] });
    return b.reshape(b.broadcast(five, { shape: [batch, ...all!, length, width] }), {
      shape: [batch, heads, length, width],
    });
  };
  return [repeat(k), repeat(v)];
}

/** Scores as they are, or times a tensor, or a function of them. */
function changed(m: Maker, raw: Value): Value {
  const { b, draw, c } = m;
  if (draw.chance(0.7)) return raw;
  const tensor = () => b.tanh(m.input("f32", stretching(m, raw.type.shape, 0.5)));
  return draw.pick([
    () => b.mul(raw, tensor()),
    () => b.mul(tensor(), b.add(raw, tensor())),
    () => b.div(raw, b.exp(tensor())),
    () => b.neg(raw),
    () => b.min(b.max(raw, c(-2)), c(2)),
    () => b.mul(b.tanh(b.mul(raw, tensor())), c(-3)),
    () => b.sqrt(b.add(b.abs(raw), c(1))),
  ])();
}

/** Weights that are 0 where the mask, or another, hides. */
function cleared(m: Maker, weights: Value, own: Value | undefined): Value {
  const { b, draw, c } = m;
  const mask = own && draw.chance(0.8) ? own : m.input("bool", stretching(m, weights.type.shape, 0.2));
  return draw.pick([
    () => b.select(mask, weights, c(0)),
    () => b.select(b.not(mask), c(0), weights),
    () => b.mul(weights, b.cast(mask, { to: "f32" })),
  ])();
}

function masked(m: Maker, raw: Value, soft: boolean): { readonly scores: Value; readonly mask?: Value | undefined } {
  const { b, draw, c } = m;
  const [, , queries, keys] = raw.type.shape as [Dim, Dim, Dim, Dim];
  let scores = raw;
  let last: Value | undefined;
  if (draw.chance(0.3)) scores = b.add(scores, m.input("f32", stretching(m, raw.type.shape, 0.3)));
  if (draw.chance(0.1)) scores = b.mul(b.tanh(b.div(scores, c(5))), c(5));
  // Added to a row that sees nothing, a huge number swallows the scores in f32 and not in f64.
  const added = () => c(draw.pick([-50, -5]));
  // What a row weighs that two masks hide together is not defined: the second lets the first key through, and both
  // fill with one number.
  const fill = soft ? draw.pick([-1e9, -3.4028234663852886e38, -1e4, -5]) : -5;
  const low = () => c(fill);
  const causal = draw.chance(0.4);
  if (causal) {
    const rows = b.reshape(b.iota({ size: queries }), { shape: [queries, 1] });
    const columns = b.reshape(b.iota({ size: keys }), { shape: [1, keys] });
    const before = b.size({ of: add(keys, mul(-1, queries)) });
    const lastFour = (at: Value) => b.less(b.sub(at, b.scalar(4, "i64")), columns);
    const visible = draw.pick([
      () => b.lessEqual(columns, rows),
      () => b.lessEqual(columns, rows),
      () => b.not(b.less(rows, columns)),
      () => b.less(columns, rows),
      () => b.lessEqual(rows, columns),
      () => b.lessEqual(columns, b.add(rows, before)),
      () => b.lessEqual(columns, b.reshape(b.add(b.iota({ size: queries }), before), { shape: [1, queries, 1] })),
      () => b.and(b.lessEqual(columns, b.add(before, rows)), lastFour(b.add(before, rows))),
      () => b.and(b.lessEqual(columns, rows), b.less(b.sub(rows, b.scalar(3, "i64")), columns)),
      () => b.lessEqual(b.abs(b.sub(rows, columns)), b.scalar(2, "i64")),
      () => b.equal(b.div(rows, b.scalar(4, "i64")), b.div(columns, b.scalar(4, "i64"))),
      () =>
        b.or(
          b.less(columns, b.scalar(2, "i64")),
          b.equal(b.mod(b.sub(rows, columns), b.scalar(3, "i64")), b.scalar(0, "i64")),
        ),
    ])();
    last = visible;
    scores = draw.pick([
      () => b.select(visible, scores, low()),
      () => b.select(b.not(visible), low(), scores),
      () => b.add(scores, b.select(visible, c(0), added())),
      () => b.add(scores, b.mul(b.sub(c(1), b.cast(visible, { to: "f32" })), added())),
    ])();
  }
  if (draw.chance(0.3)) {
    const mask = m.input("bool", stretching(m, raw.type.shape, 0.2), causal ? "open" : "in");
    last = mask;
    scores = draw.pick([
      () => b.select(mask, scores, low()),
      () => b.select(mask, scores, soft && !causal ? c(Number.NEGATIVE_INFINITY) : low()),
      () => b.add(scores, b.select(mask, c(0), added())),
      () => b.add(scores, b.mul(b.sub(b.cast(mask, { to: "f32" }), c(1)), b.neg(added()))),
    ])();
  }
  return { scores, mask: last };
}

function normalised({ b, draw, c }: Maker, scores: Value): Value {
  const axis = draw.chance(0.9) ? -1 : 2;
  const keep = { axes: [axis], keepDims: true };
  return draw.pick([
    () => b.softmax(scores, { axis }),
    () => b.softmax(scores, { axis }),
    () => b.softmax(scores, { axis }),
    () => {
      const e = b.exp(b.sub(scores, b.reduceMax(scores, keep)));
      return b.div(e, b.reduceSum(e, keep));
    },
    () => b.exp(b.logSoftmax(scores, { axis })),
    () => {
      const e = b.exp(b.min(scores, c(20)));
      return b.div(e, b.add(b.reduceSum(e, keep), c(1)));
    },
  ])();
}

/** No softmax: scores as they are, or each for itself. */
const weighed = ({ b, draw, c }: Maker, scores: Value): Value =>
  draw.pick([() => b.mul(scores, c(0.1)), () => b.div(b.sigmoid(scores), c(4))])();
