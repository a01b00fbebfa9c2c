import { attention, type Config, linear, merge, model, rmsNorm, scope, type Tensor } from "qkv";
import { embed, gatedFeedForward, past, projectHeads, readOut, tokenInputs } from "./parts/decoder.ts";
import { activationOf, capOf, headOf, sizesOf, windowOf, windowsOf } from "./parts/decoder-config.ts";
import { layerRotaryOf, type Rotary, turn } from "./parts/rotary.ts";

/**
 * Gemma 3: most layers look back no further than a window, and turn faster than the others; queries and keys are
 * normalised, head by head; norms stand before and after each part. Gemma Team, "Gemma 3" (arXiv:2503.19786).
 */
const defaults = {
  layers: 2,
  d: 64,
  heads: 4,
  kvHeads: 2,
  width: 16,
  ffn: 128,
  vocab: 1000,
  epsilon: 1e-6,
  activation: "gelu_pytorch_tanh",
  attentionBias: false,
  head: true,
  tied: true,
  /** How many tokens the layers look back, over and over; 0 for the whole past. */
  windows: [256, 256, 256, 256, 256, 0] as readonly number[],
  /** Scores are divided by its root. */
  queryScale: 16,
  /** Of logits; 0 for none. */
  logitCap: 0,
  /** Of layers that see the whole past, and of those with a window. */
  rotary: { type: "default", theta: 1_000_000 } as Rotary,
  windowRotary: { type: "default", theta: 10_000 } as Rotary,
};

export default model(
  "gemma3",
  defaults,
  (settings) => {
    const { layers, d, epsilon, windows } = settings;
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "embed_tokens");
    // Weights of norms are stored less 1.
    const norm = (x: Tensor, name: string) => rmsNorm(x, { name, epsilon, offset: 1 });
    const scale = settings.queryScale ** -0.5;

    let x: Tensor = rows.mul(Math.sqrt(d));
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const window = windows[layer % windows.length]!;
        const rotary = window > 0 ? settings.windowRotary : settings.rotary;
        const before = norm(x, "input_layernorm");
        const attended = scope("self_attn", () => {
          const { q, k, v } = projectHeads(before, settings);
          const query = turn(norm(q, "q_norm"), rotary, positions);
          const key = turn(norm(k, "k_norm"), rotary, positions);
          const seen = attention(query, key, v, { scale, mask: past(mask, window) });
          return linear(merge(seen), d, { name: "o_proj", bias: settings.attentionBias });
        });
        const middle = x.add(norm(attended, "post_attention_layernorm"));
        const between = norm(middle, "pre_feedforward_layernorm");
        const fed = scope("mlp", () => gatedFeedForward(between, settings));
        return middle.add(norm(fed, "post_feedforward_layernorm"));
      });

    return readOut(norm(x, "norm"), table, settings, settings.logitCap);
  },
  fromConfig,
);

// Configurations have a cap of scores too, left from Gemma 2, that the published model does not apply.
function fromConfig(config: Config) {
  config.only("model_type", "gemma3_text");
  config.only("use_bidirectional_attention", false);
  const published = { layers: 26, d: 2304, heads: 8, kvHeads: 4, width: 256, ffn: 9216, vocab: 262_208 };
  const sizes = sizesOf(config, published);
  const pattern = config.natural("sliding_window_pattern", 6);
  const windowTheta = config.number("rope_local_base_freq", 10_000);
  const maxLength = config.natural("max_position_embeddings", 131_072);
  return {
    ...sizes,
    ...headOf(config, "Gemma3ForCausalLM", "Gemma3TextModel", true),
    activation: activationOf(config, "hidden_activation", "gelu_pytorch_tanh"),
    attentionBias: config.flag("attention_bias", false),
    windows: windowsOf(config, sizes.layers, windowOf(config, 4096), (layer) =>
      (layer + 1) % pattern === 0 ? "full_attention" : "sliding_attention",
    ),
    queryScale: config.number("query_pre_attn_scalar", 256),
    logitCap: capOf(config, "final_logit_softcapping", 0),
    rotary: layerRotaryOf(config, "full_attention", config.number("rope_theta", 1_000_000), maxLength),
    // Older configurations stretch only the other layers.
    windowRotary: layerRotaryOf(config, "sliding_attention", windowTheta, maxLength, false),
  };
}
