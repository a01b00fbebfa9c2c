import { fail } from "../ir/diagnostics.ts";
import { type Dim, divideExact, show } from "../ir/dim.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Value } from "../ir/graph.ts";
import type { IndexFormula, Lengths } from "../ir/index-expr/types.ts";
import { broadcastShapes, sameShape, showShape, showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkName, checkOptions, describe, finite, positiveInteger } from "./checks.ts";
import { argument } from "./explain.ts";
import type { MaskFunction, ProbFunction, ScoreFunction, ScoreIndex } from "./lift/lift.ts";
import { attentionWith } from "./lift/score-attention.ts";
import { reshapeTo } from "./movement.ts";
import { features, mergeHeads, project, splitHeads } from "./nn.ts";
import type { Checked, Differ, IsWide, ReplaceLast, Shape, Show } from "./shape-types.ts";
import { asTensor, type DTypeOf, type Rows, type ShapeOf, sameDType, Tensor, wrap } from "./tensor.ts";

export interface AttentionOptions {
  /** Factor of the scores; 1/√width by default. */
  readonly scale?: number;
  /** Query i sees keys 0 … i only. */
  readonly causal?: boolean;
  /** Added to the scores; element type of q, stretching to [batch, heads, queries, keys]. */
  readonly bias?: Tensor;
  /**
   * Which keys a query may see. A function of indices, such as `({ q, k }) => k <= q && q - k < 256`; or a bool tensor,
   * true where a query may see a key, stretching to [batch, heads, queries, keys].
   */
  readonly mask?: Tensor | MaskFunction | ReadingFunction | undefined;
  /** The score that takes the place of `s` = scale · q kᵀ + bias, as in `(s, { q, k }) => s - Math.abs(q - k)`. */
  readonly score?: ScoreFunction;
  /** The weight that takes the place of `p`, the normaliser's answer; keys that are masked keep weight 0. */
  readonly prob?: ProbFunction;
  /** `"softmax"` over the keys (the default), `"sigmoid"` of each score (arXiv:2409.04431), scores over their `"sum"`, `"none"`. */
  readonly normaliser?: "softmax" | "sigmoid" | "sum" | "none";
}

/** A mask that answers an element of a bool tensor, which the type checker takes for a number. */
type ReadingFunction = (at: ScoreIndex) => boolean | Rows;

type LastDim<S> = S extends readonly [...Shape, infer L] ? L : unknown;
type NextToLast<S> = S extends readonly [...Shape, infer K, unknown] ? K : unknown;

type KeyError<Q, K> =
  IsWide<ShapeOf<Q>> extends true
    ? never
    : IsWide<ShapeOf<K>> extends true
      ? never
      : Differ<DTypeOf<Q>, DTypeOf<K>> extends true
        ? `attention: element types differ: q is ${DTypeOf<Q>}, k is ${DTypeOf<K>}`
        : Differ<LastDim<ShapeOf<Q>>, LastDim<ShapeOf<K>>> extends true
          ? `attention: q is ${Show<LastDim<ShapeOf<Q>>>} wide but k is ${Show<LastDim<ShapeOf<K>>>} wide`
          : never;

type ValueError<K, V> =
  IsWide<ShapeOf<K>> extends true
    ? never
    : IsWide<ShapeOf<V>> extends true
      ? never
      : Differ<NextToLast<ShapeOf<K>>, NextToLast<ShapeOf<V>>> extends true
        ? `attention: k has ${Show<NextToLast<ShapeOf<K>>>} positions but v has ${Show<NextToLast<ShapeOf<V>>>}`
        : never;

/**
 * Scaled dot-product attention (Vaswani et al., arXiv:1706.03762). q is [batch, heads, queries, width], k and v are
 * [batch, kvHeads, keys, …] with kvHeads dividing heads; [heads, …] and [seq, width] are taken too. Rows that see no
 * key are zero. Throws QKV107 to QKV111 and QKV120, and QKV140 to QKV153 where a function has no formula.
 */
export function attention<Q extends Tensor, K extends Tensor, V extends Tensor>(
  q: Q,
  k: Checked<K, KeyError<Q, K>>,
  v: Checked<V, ValueError<K, V>>,
  options?: AttentionOptions,
): Tensor<ReplaceLast<ShapeOf<Q>, LastDim<ShapeOf<V>>>, DTypeOf<Q>> {
  return run(attention, [q, k, v], (b) =>
    attend(b, asTensor(b, q, "q"), asTensor(b, k, "k"), asTensor(b, v, "v"), options),
  ) as never;
}

export function attend(b: Builder, q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions): Tensor {
  const given = checkOptions(options, ["scale", "causal", "bias", "mask", "score", "prob", "normaliser"], "attention");
  const { causal = false, normaliser = "softmax" } = given;
  if (!["softmax", "sigmoid", "sum", "none"].includes(normaliser))
    fail("QKV120", `attention: normaliser is ${describe(normaliser)}; it is "softmax", "sigmoid", "sum" or "none"`);
  checkOperands(q, k, v);
  const lift = (x: Tensor) => reshapeTo(b, x, [...new Array<Dim>(4 - x.rank).fill(1), ...x.shape]);
  const operands = [lift(q), lift(k), lift(v)];
  const scores = [...operands[0]!.shape.slice(0, 3), operands[1]!.shape[2]!];
  const { mask, score, prob } = given;
  // What is neither is refused as the function it is not.
  const isFunction = mask !== undefined && !(mask instanceof Tensor);
  const seen = mask === undefined || isFunction ? undefined : checkMask(b, asTensor(b, mask, "mask"), scores, q.rank);
  const bias = given.bias === undefined ? undefined : checkBias(b, asTensor(b, given.bias, "bias"), q, scores);
  const extras = { mask: seen?.value, bias: bias?.value };
  const attrs = { scale: scaleOf(given, q), causal, normaliser };
  const [x, y, z] = operands.map(({ value }) => value) as [Value, Value, Value];
  const onMask = (formula: IndexFormula, lengths: Lengths) => void b.masks.push({ scope: b.prefix, formula, lengths });
  const functions = { ...(isFunction && { mask, onMask }), ...(score && { score }), ...(prob && { prob }) };
  const out = wrap(b, attentionWith(b.arena.build, [x, y, z], extras, attrs, functions));
  return reshapeTo(b, out, [...q.shape.slice(0, -1), v.shape.at(-1)!]);
}

function scaleOf({ scale }: AttentionOptions, q: Tensor): number {
  if (scale !== undefined) return finite(scale, "scale");
  const width = q.shape.at(-1)!;
  if (typeof width === "number") return 1 / Math.sqrt(width);
  return fail("QKV120", `attention: the width ${show(width)} is no integer, so 1/√width is not known`, {
    help: "give { scale }",
  });
}

export function checkOperands(q: Tensor, k: Tensor, v: Tensor): void {
  const notes = [
    Object.entries({ q, k, v })
      .map(([name, x]) => `${name}: ${showType(x.value.type)}`)
      .join("    "),
  ];
  if (q.rank < 2 || q.rank > 4 || k.rank !== q.rank || v.rank !== q.rank)
    fail("QKV110", `attention: q, k and v have ${q.rank}, ${k.rank} and ${v.rank} axes`, {
      notes,
      help: "all are [batch, heads, seq, width], or all [heads, seq, width], or all [seq, width]",
    });
  sameDType([q, k, v], "attention");
  if (!isFloat(q.dtype)) fail("QKV109", `attention: q is ${q.dtype}, not floating point`, { notes });
  const at = (x: Tensor, fromEnd: number) => x.shape.at(-fromEnd) ?? 1;
  if (at(q, 1) !== at(k, 1))
    fail(
      "QKV107",
      `attention: ${argument("q", 0)} is ${show(at(q, 1))} wide but ${argument("k", 1)} is ${show(at(k, 1))} wide`,
      { notes },
    );
  if (at(k, 2) !== at(v, 2))
    fail(
      "QKV107",
      `attention: ${argument("k", 1)} has ${show(at(k, 2))} positions but ${argument("v", 2)} has ${show(at(v, 2))}`,
      { notes },
    );
  if (at(k, 3) !== at(v, 3))
    fail(
      "QKV107",
      `attention: ${argument("k", 1)} has ${show(at(k, 3))} heads but ${argument("v", 2)} has ${show(at(v, 3))}`,
      { notes },
    );
  if (divideExact(at(q, 3), at(k, 3)) === undefined)
    fail("QKV108", `attention: ${show(at(k, 3))} key heads do not divide ${show(at(q, 3))} query heads`, { notes });
  if (at(q, 4) !== at(k, 4) || at(q, 4) !== at(v, 4))
    fail("QKV107", "attention: q, k and v have different batches", { notes });
}

function checkMask(b: Builder, mask: Tensor, scores: readonly Dim[], rank: number): Tensor {
  if (mask.dtype !== "bool")
    fail("QKV111", `attention: the mask is ${mask.dtype}, not bool`, {
      help: isFloat(mask.dtype)
        ? "numbers added to the scores are a bias: attention(q, k, v, { bias })"
        : "true is where a query may see a key: { mask: notEqual(mask, 0) }",
    });
  return stretching(b, mask, scores, rank, "mask");
}

function checkBias(b: Builder, bias: Tensor, q: Tensor, scores: readonly Dim[]): Tensor {
  if (bias.dtype === "bool")
    fail("QKV111", "attention: the bias is bool", { help: "pass it as { mask }: true is where a query may see a key" });
  if (bias.dtype !== q.dtype)
    fail("QKV109", `attention: the bias is ${bias.dtype}, q is ${q.dtype}`, { help: `write bias.cast("${q.dtype}")` });
  return stretching(b, bias, scores, q.rank, "bias");
}

/** `x` with four axes, each 1 or that of the scores. Fewer axes than q has are refused: which they are is a guess. */
function stretching(b: Builder, x: Tensor, scores: readonly Dim[], rank: number, what: string): Tensor {
  const lifted = [...new Array<Dim>(Math.max(0, 4 - x.rank)).fill(1), ...x.shape];
  const common = x.rank === 4 || x.rank === rank ? broadcastShapes(lifted, scores) : undefined;
  if (common && sameShape(common, scores)) return reshapeTo(b, x, lifted);
  return fail("QKV111", `attention: the ${what} ${showShape(x.shape)} does not stretch to ${showShape(scores)}`, {
    notes: ["the scores are [batch, heads, queries, keys]"],
    help: suggestAxes(x, scores, what),
  });
}

/** Where the axes of a too small mask belong, if its dims say so. */
function suggestAxes(x: Tensor, scores: readonly Dim[], what: string): string {
  const used = new Set<number>();
  for (const dim of x.shape) {
    const at = scores.findLastIndex((size, i) => size === dim && !used.has(i));
    if (at < 0) return `give the ${what} four axes, each 1 or that of the scores`;
    used.add(at);
  }
  const ordered = [...used];
  if (x.rank >= 4 || ordered.some((at, i) => i > 0 && at < ordered[i - 1]!))
    return `give the ${what} four axes, each 1 or that of the scores`;
  const missing = [0, 1, 2, 3].filter((axis) => !used.has(axis));
  return `add the missing axes of size 1: expandDims(${what}, ${missing.join(", ")})`;
}

export interface MultiHeadOptions extends AttentionOptions {
  readonly heads: number;
  /** Key and value heads; as many as query heads by default. */
  readonly kvHeads?: number;
  /** Features of each head; by default those of x in equal parts. */
  readonly headWidth?: number;
  /** Prefix of the parameter names; none by default. */
  readonly name?: string;
  /** Where keys and values come from; x itself by default. */
  readonly context?: Tensor;
  /** Projections have biases, all of them or each as said; true by default. */
  readonly biases?: boolean | Readonly<Partial<Record<Projection, boolean>>>;
  /** Parameter names after the prefix; q_proj, k_proj, v_proj and o_proj by default. */
  readonly names?: Readonly<Partial<Record<Projection, string>>>;
}

/** Of queries, keys, values and of the output. */
type Projection = "q" | "k" | "v" | "o";

/**
 * Multi-head attention with its four projections: x is [batch, seq, features], so is the result.
 * Throws what `linear`, `heads` and `attention` throw.
 */
export function multiHeadAttention<T extends Tensor>(x: T, options: MultiHeadOptions): T {
  return run(multiHeadAttention, [x], (b) => {
    const { heads: n, kvHeads = n, headWidth, name, context, biases = true, names, ...rest } = options;
    const from = asTensor(b, x, "x");
    const source = context === undefined ? from : asTensor(b, context, "context");
    if (name !== undefined) checkName(name, "the name of an attention");
    positiveInteger(n, "heads");
    positiveInteger(kvHeads, "kvHeads");
    if (n % kvHeads !== 0) fail("QKV108", `multiHeadAttention: ${kvHeads} key heads do not divide ${n} query heads`);
    const width = features(from, "multiHeadAttention");
    if (headWidth === undefined && width % n !== 0)
      fail("QKV108", `multiHeadAttention: ${n} heads do not divide ${width} features`);
    const each = headWidth === undefined ? width / n : positiveInteger(headWidth, "headWidth");
    const named = (part: string) => (name === undefined ? part : `${name}.${part}`);
    const layer = (which: Projection) => ({
      name: named(names?.[which] ?? `${which}_proj`),
      bias: typeof biases === "boolean" ? biases : (biases[which] ?? true),
    });
    const q = splitHeads(b, project(b, from, n * each, layer("q")), n);
    const k = splitHeads(b, project(b, source, kvHeads * each, layer("k")), kvHeads);
    const v = splitHeads(b, project(b, source, kvHeads * each, layer("v")), kvHeads);
    const seen = attend(b, q, k, v, rest);
    for (const [part, value] of Object.entries({ q, k, v, seen })) b.note(value.value, undefined, named(part));
    const out = project(b, mergeHeads(b, seen), width, layer("o"));
    b.label = name ?? "attention";
    return out;
  }) as T;
}
