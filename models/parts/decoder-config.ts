import type { Config } from "qkv";
import { activations } from "./activations.ts";
import type { Head } from "./decoder.ts";

/** Sizes that configurations leave out where they are those of the first model published. */
export interface Published {
  readonly layers: number;
  readonly d: number;
  readonly heads: number;
  /** As many as heads where absent. */
  readonly kvHeads?: number;
  /** d / heads where absent. */
  readonly width?: number;
  readonly ffn: number;
  readonly vocab: number;
}

/** Sizes of a decoder with grouped-query attention, under the keys that all of them share. */
export function sizesOf(config: Config, published: Published) {
  const d = config.natural("hidden_size", published.d);
  const heads = config.natural("num_attention_heads", published.heads);
  const kvHeads = config.isNull("num_key_value_heads") ? heads : (published.kvHeads ?? heads);
  return {
    layers: config.natural("num_hidden_layers", published.layers),
    d,
    heads,
    kvHeads: config.natural("num_key_value_heads", kvHeads),
    width: config.natural("head_dim", published.width ?? Math.floor(d / heads)),
    ffn: config.natural("intermediate_size", published.ffn),
    vocab: config.natural("vocab_size", published.vocab),
    epsilon: config.number("rms_norm_eps", 1e-6),
  };
}

/** Which output layer a checkpoint has. Where one is stored it counts, whatever is said of ties. */
export const headOf = (config: Config, causal: string, plain: string, tied: boolean): Omit<Head, "vocab"> => ({
  head: config.architecture(causal, plain) === causal,
  tied: config.flag("tie_word_embeddings", tied) && !config.stores("lm_head.weight"),
});

/** The activation function under this key. */
export const activationOf = (config: Config, key: string, fallback: string): string =>
  config.choice(key, activations, fallback);

const layerTypes = ["full_attention", "sliding_attention"] as const;
export type LayerType = (typeof layerTypes)[number];

/** For each layer how many tokens it looks back, 0 for all of them: `layer_types`, or what `usual` says of a layer. */
export function windowsOf(
  config: Config,
  layers: number,
  window: number,
  usual: (layer: number) => LayerType,
): readonly number[] {
  const types = config.choices(
    "layer_types",
    layerTypes,
    Array.from({ length: layers }, (_, layer) => usual(layer)),
  );
  return types.map((type) => (type === "sliding_attention" ? window : 0));
}

/** A cap of scores or logits, 0 for none: null says that there is none, absence that it is the published one. */
export const capOf = (config: Config, key: string, published: number): number =>
  config.isNull(key) ? 0 : config.number(key, published);

/** The window of sliding layers, 0 where there is none. */
export const windowOf = (config: Config, published: number): number =>
  config.isNull("sliding_window") ? 0 : config.natural("sliding_window", published);
