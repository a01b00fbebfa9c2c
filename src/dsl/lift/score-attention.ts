import type { Build } from "../../ir/arena.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { lowerFormula } from "../../ir/index-expr/lower.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexFormula, type Lengths, score as theScore } from "../../ir/index-expr/types.ts";
import {
  type AttentionShapes,
  attentionShapes,
  causalMask,
  groupedProduct,
  lowest,
  zeroUnseen,
} from "../../ir/ops/attention.ts";
import { addedTo, maySayMinusInfinity, splitCausal, splitMasked } from "./attention-formulas.ts";
import { liftFunction } from "./lift.ts";

/** The functions of an attention, as the author wrote them. */
export interface AttentionFunctions {
  readonly mask?: unknown;
  readonly score?: unknown;
  readonly prob?: unknown;
  /** Told the formula of the mask function. */
  readonly onMask?: (formula: IndexFormula, lengths: Lengths) => void;
}

interface Attrs {
  readonly scale: number;
  readonly causal: boolean;
  readonly normaliser: "softmax" | "none";
}

interface Extras {
  readonly mask: Value | undefined;
  readonly bias: Value | undefined;
}

type Operands = readonly [q: Value, k: Value, v: Value];

/**
 * Attention with mask, score and prob functions. What the `attention` op can say it says: a mask, `s + f(b, h, q, k)` as
 * a bias, `k <= q` as causal. Other functions are spelled out. Throws QKV140 to QKV152.
 */
export function attentionWith(b: Build, qkv: Operands, extras: Extras, attrs: Attrs, fns: AttentionFunctions): Value {
  const [q, k, v] = qkv;
  const sizes = attentionShapes(q.type, k.type, v.type);
  const lengths: Lengths = { B: sizes.batch, H: sizes.heads, Q: sizes.queries, K: sizes.keys };
  const masks = new Masks(b, lengths, extras.mask);
  let { causal } = attrs;
  if (fns.mask !== undefined) {
    const formula = liftFunction(fns.mask, "mask", lengths);
    fns.onMask?.(formula, lengths);
    const { expr, tables } = formula;
    const split = splitCausal(expr);
    causal ||= split.causal;
    masks.add({ expr: split.rest, tables });
  }
  const score = fns.score === undefined ? undefined : scoreOf(liftFunction(fns.score, "score", lengths), masks);
  const prob = fns.prob === undefined ? undefined : liftFunction(fns.prob, "prob", lengths);
  const added = score ? addedTo(score.expr) : constant(0);
  if (added === undefined || prob)
    return spelledOut(b, qkv, sizes, lengths, { ...attrs, causal }, masks, extras.bias, score, prob);
  const bias = score ? biasOf(b, { ...score, expr: added }, lengths, masks, q, extras.bias) : extras.bias;
  const operands = [q, k, v, masks.value, bias].filter((value) => value !== undefined);
  return b.attention(...(operands as [Value, Value, Value]), { ...attrs, causal });
}

/** Conditions under which a key is seen, all of them at once. */
class Masks {
  readonly #b: Build;
  readonly #lengths: Lengths;
  value: Value | undefined;

  constructor(b: Build, lengths: Lengths, value: Value | undefined) {
    this.#b = b;
    this.#lengths = lengths;
    this.value = value;
  }

  add(formula: IndexFormula): void {
    if (formula.expr === constant(1)) return;
    this.and(lowerFormula(formula, { build: this.#b, lengths: this.#lengths, dtype: "f64" }));
  }

  and(mask: Value): void {
    this.value = this.value ? this.#b.and(this.value, mask) : mask;
  }
}

/** The score function; a score of -Infinity is a mask. */
function scoreOf({ expr, tables }: IndexFormula, masks: Masks): IndexFormula {
  const { seen, score } = splitMasked(expr);
  masks.add({ expr: seen, tables });
  return { expr: score, tables };
}

/** What a score function adds, joined with the bias that is given. */
function biasOf(
  b: Build,
  { expr, tables }: IndexFormula,
  lengths: Lengths,
  masks: Masks,
  q: Value,
  given: Value | undefined,
): Value | undefined {
  if (expr === constant(0)) return given;
  if (maySayMinusInfinity(expr)) masks.add({ expr: simplified("greater", expr, constant(-Infinity)), tables });
  const bias = cast(b, lowerFormula({ expr, tables }, { build: b, lengths, dtype: wide(q) }), q);
  return given ? b.add(given, bias) : bias;
}

/** Scores of 16 bits are computed in f32: an index beyond 2048 is none of theirs. */
const wide = (q: Value): "f64" | "f32" => (q.type.dtype === "f64" ? "f64" : "f32");
const castTo = (b: Build, x: Value, to: DType) => (x.type.dtype === to ? x : b.cast(x, { to }));
const cast = (b: Build, x: Value, like: Value) => castTo(b, x, like.type.dtype);

/** scores → score function → mask → normaliser → prob function → values. */
function spelledOut(
  b: Build,
  [q, k, v]: Operands,
  sizes: AttentionShapes,
  lengths: Lengths,
  { scale, causal, normaliser }: Attrs,
  masks: Masks,
  bias: Value | undefined,
  score: IndexFormula | undefined,
  prob: IndexFormula | undefined,
): Value {
  const { dtype } = q.type;
  const shape = [sizes.batch, sizes.heads, sizes.queries, sizes.keys];
  const through = (formula: IndexFormula | undefined, x: Value): Value => {
    if (!formula || formula.expr === theScore()) return x;
    const options = { build: b, lengths, dtype: wide(q), score: castTo(b, x, wide(q)) };
    return b.broadcast(cast(b, lowerFormula(formula, options), q), { shape });
  };
  const raw = b.mul(groupedProduct(b, sizes, q, k, "q d", "k d", "q k", sizes.keys), b.scalar(scale, dtype));
  const scores = through(score, bias ? b.add(raw, bias) : raw);
  if (score && maySayMinusInfinity(score.expr)) masks.and(b.less(b.scalar(-Infinity, dtype), scores));
  const given = masks.value;
  if (causal) masks.and(causalMask(b, sizes));
  const mask = masks.value;
  const soft = normaliser === "softmax";
  const masked = mask ? b.select(mask, scores, b.scalar(soft ? lowest[dtype]! : 0, dtype)) : scores;
  const weights = through(prob, soft ? b.softmax(masked) : masked);
  const kept = prob && mask ? b.select(mask, weights, b.scalar(0, dtype)) : weights;
  const out = groupedProduct(b, sizes, kept, v, "q k", "k d", "q d", sizes.valueWidth);
  return soft && given && !prob ? zeroUnseen(b, out, mask!) : out;
}
