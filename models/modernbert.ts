import {
  attention,
  type Config,
  embedding,
  heads,
  input,
  layerNorm,
  linear,
  type MaskFunction,
  merge,
  model,
  optionalInput,
  scope,
  split,
  type Tensor,
} from "qkv";
import { activate, activations } from "./parts/activations.ts";
import { layerRotaryOf, type Rotary, turn } from "./parts/rotary.ts";

const layerTypes = ["full_attention", "sliding_attention"] as const;

/** Every `period`-th layer sees all tokens. */
const alternating = (layers: number, period: number): readonly (typeof layerTypes)[number][] =>
  Array.from({ length: layers }, (_, layer) => layerTypes[layer % period === 0 ? 0 : 1]);

/**
 * ModernBERT, an encoder in which most layers attend locally: a token sees those at most `reach` away, and all others in
 * layers with "full_attention". Norms come first, positions turn queries and keys, feed-forward parts are gated.
 * Warner et al., "Smarter, Better, Faster, Longer" (arXiv:2412.13663); gates: Shazeer (arXiv:2002.05202).
 *
 * Parameters are named as in Hugging Face's checkpoints.
 */
const defaults = {
  /** For each layer, whether all tokens are seen or those near by. */
  layerTypes: alternating(22, 3),
  d: 768,
  heads: 12,
  ffn: 1152,
  activation: "gelu",
  vocab: 50368,
  epsilon: 1e-5,
  reach: 64,
  globalRotary: { type: "default", theta: 160_000 } as Rotary,
  localRotary: { type: "default", theta: 10_000 } as Rotary,
  attentionBias: false,
  ffnBias: false,
  normBias: false,
};

export default model(
  "modernbert",
  defaults,
  (settings) => {
    const { d, ffn, activation, vocab, epsilon, reach, attentionBias, ffnBias, normBias } = settings;
    const inputIds = input("input_ids", "i64", ["batch", "seq"]);
    const attentionMask = optionalInput("attention_mask", "i64", ["batch", "seq"], { present: true });
    const real: MaskFunction = attentionMask ? ({ b, k }) => attentionMask[b]![k]! !== 0 : () => true;
    const near: MaskFunction = ({ b, h, q, k }) => Math.abs(q - k) <= reach && real({ b, h, q, k });
    const norm = (x: Tensor, name: string) => layerNorm(x, { name, epsilon, bias: normBias });

    function attend(x: Tensor, local: boolean): Tensor {
      const qkv = split(linear(x, 3 * d, { name: "attn.Wqkv", bias: attentionBias }), 3, 2);
      const [q, k, v] = qkv.map((part) => heads(part, settings.heads)) as [Tensor, Tensor, Tensor];
      const rotary = local ? settings.localRotary : settings.globalRotary;
      const seen = attention(turn(q, rotary), turn(k, rotary), v, { mask: local ? near : real });
      return linear(merge(seen), d, { name: "attn.Wo", bias: attentionBias });
    }

    function feedForward(x: Tensor): Tensor {
      const [wide, gate] = split(linear(x, 2 * ffn, { name: "mlp.Wi", bias: ffnBias }), 2, 2) as [Tensor, Tensor];
      return linear(activate(wide, activation).mul(gate), d, { name: "mlp.Wo", bias: ffnBias });
    }

    let hidden: Tensor = scope("embeddings", () =>
      norm(embedding(inputIds, vocab, d, { name: "tok_embeddings" }), "norm"),
    );
    for (const [layer, type] of settings.layerTypes.entries())
      hidden = scope(`layers.${layer}`, () => {
        // The embeddings are normalised already.
        const normed = layer === 0 ? hidden : norm(hidden, "attn_norm");
        const middle = hidden.add(attend(normed, type === "sliding_attention"));
        return middle.add(feedForward(norm(middle, "mlp_norm")));
      });
    return { last_hidden_state: norm(hidden, "final_norm") };
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "modernbert");
  const longest = config.natural("max_position_embeddings", 8192);
  const [global, local] = [config.number("global_rope_theta", 160_000), config.number("local_rope_theta", 10_000)];
  return {
    layerTypes: config.choices(
      "layer_types",
      layerTypes,
      alternating(config.natural("num_hidden_layers", 22), config.natural("global_attn_every_n_layers", 3)),
    ),
    d: config.natural("hidden_size", defaults.d),
    heads: config.natural("num_attention_heads", defaults.heads),
    ffn: config.natural("intermediate_size", defaults.ffn),
    activation: config.choice("hidden_activation", activations, defaults.activation),
    vocab: config.natural("vocab_size", defaults.vocab),
    epsilon: config.number("norm_eps", defaults.epsilon),
    reach: Math.floor(config.natural("local_attention", 128) / 2),
    globalRotary: layerRotaryOf(config, "full_attention", global, longest),
    localRotary: layerRotaryOf(config, "sliding_attention", local, longest),
    attentionBias: config.flag("attention_bias", defaults.attentionBias),
    ffnBias: config.flag("mlp_bias", defaults.ffnBias),
    normBias: config.flag("norm_bias", defaults.normBias),
  };
}
