import {
  einsum,
  gather,
  heads,
  input,
  linear,
  type MaskFunction,
  mul,
  optionalInput,
  param,
  type ScoreFunction,
  type Tensor,
  tanh,
} from "qkv";
import { activate } from "./activations.ts";

/** What decoders are given: tokens [batch, seq], which of them are real, and where they stand. */
export interface Tokens {
  readonly ids: Tensor;
  /** 0 where a token is padding. */
  readonly mask: Tensor | undefined;
  /** 0, 1, … where absent, whether tokens are padding or not. */
  readonly positions: Tensor | undefined;
}

export const tokenInputs = (): Tokens => ({
  ids: input("input_ids", "i64", ["batch", "seq"]),
  mask: optionalInput("attention_mask", "i64", ["batch", "seq"]),
  positions: optionalInput("position_ids", "i64", ["batch", "seq"]),
});

/** What has been written so far, the last `window` tokens of it where `window` is not 0, and no padding. */
export function past(mask?: Tensor, window = 0): MaskFunction {
  const written: MaskFunction = window > 0 ? ({ q, k }) => k <= q && q - k < window : ({ q, k }) => k <= q;
  if (mask === undefined) return written;
  return (at) => written(at) && mask[at.b]![at.k] !== 0;
}

/** Rows of a table of embeddings, and the table itself, which may serve a second time as the output layer. */
export function embed(ids: Tensor, vocab: number, d: number, name: string): { rows: Tensor; table: Tensor } {
  const table = param(`${name}.weight`, [vocab, d]);
  return { rows: gather(table, ids, { axis: 0 }), table };
}

export interface Head {
  readonly vocab: number;
  /** Whether there is an output layer. */
  readonly head: boolean;
  /** Whether the output layer is the table of embeddings. */
  readonly tied: boolean;
}

/** A score for each word of the vocabulary: products with the embeddings where they are tied, else with `lm_head`. */
const logitsOf = (x: Tensor, table: Tensor, { vocab, tied }: Head): Tensor =>
  tied ? einsum("b s d, v d -> b s v", x, table) : linear(x, vocab, { name: "lm_head", bias: false });

/** What a decoder answers: logits, capped where `cap` is not 0, or its last hidden state where it has no output layer. */
export function readOut(x: Tensor, table: Tensor, head: Head, cap = 0): Readonly<Record<string, Tensor>> {
  if (!head.head) return { last_hidden_state: x };
  const logits = logitsOf(x, table, head);
  return { logits: cap > 0 ? tanh(logits.div(cap)).mul(cap) : logits };
}

/** No score is beyond ±cap (Bello et al., arXiv:1611.09940, appendix A.1); options of `attention`. None where cap is 0. */
export const cappedScores = (cap: number): { readonly score?: ScoreFunction } =>
  cap > 0 ? { score: (s) => cap * Math.tanh(s / cap) } : {};

export interface Grouped {
  readonly heads: number;
  readonly kvHeads: number;
  /** Of a head. */
  readonly width: number;
  readonly attentionBias?: boolean;
}

/** Queries, keys and values [batch, heads, seq, width] of grouped-query attention (arXiv:2305.13245). */
export function projectHeads(x: Tensor, { heads: n, kvHeads, width, attentionBias: bias = false }: Grouped) {
  const q = heads(linear(x, n * width, { name: "q_proj", bias }), n);
  const k = heads(linear(x, kvHeads * width, { name: "k_proj", bias }), kvHeads);
  const v = heads(linear(x, kvHeads * width, { name: "v_proj", bias }), kvHeads);
  return { q, k, v };
}

export interface FeedForward {
  /** Width between the layers. */
  readonly ffn: number;
  readonly activation: string;
  readonly ffnBias?: boolean;
}

/** down(act(gate x) ⊙ up x): Shazeer, "GLU Variants Improve Transformer" (arXiv:2002.05202). */
export function gatedFeedForward(x: Tensor, { ffn, activation, ffnBias: bias = false }: FeedForward): Tensor {
  const gate = activate(linear(x, ffn, { name: "gate_proj", bias }), activation);
  const up = linear(x, ffn, { name: "up_proj", bias });
  return linear(mul(gate, up), x.dim(2) as number, { name: "down_proj", bias });
}
