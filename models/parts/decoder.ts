import { einsum, gather, input, linear, type MaskFunction, mul, optionalInput, param, type Tensor } from "qkv";
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

/** A score for each word of the vocabulary: products with the embeddings where they are tied, else with `lm_head`. */
export const readOut = (x: Tensor, tied: Tensor | undefined, vocab: number, bias = false): Tensor =>
  tied ? einsum("b s d, v d -> b s v", x, tied) : linear(x, vocab, { name: "lm_head", bias });

export interface FeedForward {
  readonly ffn: number;
  readonly activation: string;
  readonly bias?: boolean;
}

/** down(act(gate x) ⊙ up x): Shazeer, "GLU Variants Improve Transformer" (arXiv:2002.05202). */
export function gatedFeedForward(x: Tensor, { ffn, activation, bias = false }: FeedForward): Tensor {
  const gate = activate(linear(x, ffn, { name: "gate_proj", bias }), activation);
  const up = linear(x, ffn, { name: "up_proj", bias });
  return linear(mul(gate, up), x.dim(2) as number, { name: "down_proj", bias });
}
