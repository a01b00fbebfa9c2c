import {
  type Config,
  einsum,
  layerNorm,
  linear,
  multiHeadAttention,
  type Outputs,
  param,
  scope,
  type Tensor,
} from "qkv";
import { activate, activations } from "./activations.ts";

/** Sizes of an encoder and a decoder. */
export interface Sizes {
  readonly layers: number;
  readonly decoderLayers: number;
  readonly d: number;
  readonly heads: number;
  readonly decoderHeads: number;
  readonly ffn: number;
  readonly decoderFfn: number;
  readonly activation: string;
  readonly vocab: number;
}

/** Sizes as a configuration has them, or these where it does not. */
export const sizesOf = (config: Config, defaults: Sizes): Sizes => ({
  layers: config.natural(["encoder_layers", "num_hidden_layers"], defaults.layers),
  decoderLayers: config.natural("decoder_layers", defaults.decoderLayers),
  d: config.natural(["d_model", "hidden_size"], defaults.d),
  heads: config.natural(["encoder_attention_heads", "num_attention_heads"], defaults.heads),
  decoderHeads: config.natural("decoder_attention_heads", defaults.decoderHeads),
  ffn: config.natural("encoder_ffn_dim", defaults.ffn),
  decoderFfn: config.natural("decoder_ffn_dim", defaults.decoderFfn),
  activation: config.choice("activation_function", activations, defaults.activation),
  vocab: config.natural("vocab_size", defaults.vocab),
});

/** What sets the layers of BART, Marian and Whisper apart. */
export interface Kind {
  /** Norms come before each part instead of after it. */
  readonly normFirst: boolean;
  /** Keys have a bias. */
  readonly keyBias: boolean;
}

interface Stack extends Kind {
  readonly heads: number;
  readonly ffn: number;
  readonly activation: string;
}

/** x + part(norm(x)), or norm(x + part(x)). */
function residual(x: Tensor, { normFirst }: Stack, name: string, part: (x: Tensor) => Tensor): Tensor {
  return normFirst ? x.add(part(layerNorm(x, { name }))) : layerNorm(x.add(part(x)), { name });
}

function feedForward(x: Tensor, stack: Stack): Tensor {
  const wide = activate(linear(x, stack.ffn, { name: "fc1" }), stack.activation);
  return linear(wide, x.dim(-1) as number, { name: "fc2" });
}

const attentionOf = ({ heads, keyBias }: Stack, name: string) =>
  ({ heads, name, names: { o: "out_proj" }, biases: { k: keyBias } }) as const;

/** Layers in which all of x [batch, seq, d] that `mask` shows is seen. */
export function encoderLayers(x: Tensor, { layers, heads, ffn, activation }: Sizes, kind: Kind, mask?: Tensor): Tensor {
  const stack = { ...kind, heads, ffn, activation };
  let hidden = x;
  for (let layer = 0; layer < layers; layer++)
    hidden = scope(`layers.${layer}`, () => {
      const attended = residual(hidden, stack, "self_attn_layer_norm", (y) =>
        multiHeadAttention(y, { ...attentionOf(stack, "self_attn"), mask }),
      );
      return residual(attended, stack, "final_layer_norm", (y) => feedForward(y, stack));
    });
  return hidden;
}

/** Layers in which x [batch, target, d] sees what came before in it, then what `mask` shows of `context` [batch, seq, d]. */
export function decoderLayers(x: Tensor, context: Tensor, sizes: Sizes, kind: Kind, mask?: Tensor): Tensor {
  const { decoderLayers: layers, decoderHeads: heads, decoderFfn: ffn, activation } = sizes;
  const stack = { ...kind, heads, ffn, activation };
  let hidden = x;
  for (let layer = 0; layer < layers; layer++)
    hidden = scope(`layers.${layer}`, () => {
      const attended = residual(hidden, stack, "self_attn_layer_norm", (y) =>
        multiHeadAttention(y, { ...attentionOf(stack, "self_attn"), causal: true }),
      );
      const informed = residual(attended, stack, "encoder_attn_layer_norm", (y) =>
        multiHeadAttention(y, { ...attentionOf(stack, "encoder_attn"), context, mask }),
      );
      return residual(informed, stack, "final_layer_norm", (y) => feedForward(y, stack));
    });
  return hidden;
}

/** Which tables of tokens are stored apart. */
export interface OwnTables {
  readonly encoder: boolean;
  readonly decoder: boolean;
  readonly head: boolean;
}

/**
 * The tables of tokens: of the encoder [vocab, d], of the decoder and of the logits [decoderVocab, d]. Those that are not
 * stored apart are the shared one, or for the logits that of the decoder.
 */
export function tokenTables(own: OwnTables, vocab: number, decoderVocab: number, d: number) {
  const shared = own.encoder && own.decoder ? undefined : param("model.shared.weight", [vocab, d]);
  const encoder = shared && !own.encoder ? shared : param("model.encoder.embed_tokens.weight", [vocab, d]);
  const decoder = shared && !own.decoder ? shared : param("model.decoder.embed_tokens.weight", [decoderVocab, d]);
  return { encoder, decoder, head: own.head ? param("lm_head.weight", [decoderVocab, d]) : decoder };
}

/** Which tables a checkpoint stores apart. */
export const ownTables = (config: Config): OwnTables => ({
  encoder: config.stores("encoder.embed_tokens.weight"),
  decoder: config.stores("decoder.embed_tokens.weight"),
  head: config.stores("lm_head.weight"),
});

/** Whether a checkpoint has an output layer, by what it calls itself: one of these with it, or one without. */
export const hasHead = (config: Config, withHead: readonly [string, ...string[]], ...plain: readonly string[]) =>
  withHead.includes(config.architecture(...withHead, ...plain));

/** Scores of the next token, [batch, target, vocab], by the rows of a table [vocab, d]. */
export function readOut(x: Tensor, table: Tensor, bias = false): Outputs {
  const logits = einsum("b t d, v d -> b t v", x, table);
  if (!bias) return { logits };
  return { logits: logits.add(param("final_logits_bias", [1, table.dim(0) as number], { init: "zeros" })) };
}
