import { attention, type Config, linear, merge, model, rmsNorm, scope } from "qkv";
import { embed, gatedFeedForward, past, projectHeads, readOut, tokenInputs } from "./parts/decoder.ts";
import { activationOf, headOf, sizesOf, windowOf, windowsOf } from "./parts/decoder-config.ts";
import { type Rotary, rotaryOf, turn } from "./parts/rotary.ts";

/**
 * Qwen3: Llama whose queries and keys are normalised, head by head, before they are turned. Qwen Team, "Qwen3 Technical
 * Report" (arXiv:2505.09388).
 */
const defaults = {
  layers: 2,
  d: 64,
  heads: 4,
  kvHeads: 2,
  width: 32,
  ffn: 128,
  vocab: 1000,
  epsilon: 1e-6,
  activation: "silu",
  attentionBias: false,
  head: true,
  tied: true,
  /** How many tokens the layers look back, over and over; 0 for the whole past. */
  windows: [0] as readonly number[],
  rotary: { type: "default", theta: 1_000_000 } as Rotary,
};

export default model(
  "qwen3",
  defaults,
  (settings) => {
    const { layers, d, epsilon, rotary, windows } = settings;
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "embed_tokens");

    let x = rows;
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const window = windows[layer % windows.length];
        const before = rmsNorm(x, { name: "input_layernorm", epsilon });
        const attended = scope("self_attn", () => {
          const { q, k, v } = projectHeads(before, settings);
          const query = turn(rmsNorm(q, { name: "q_norm", epsilon }), rotary, positions);
          const key = turn(rmsNorm(k, { name: "k_norm", epsilon }), rotary, positions);
          const seen = attention(query, key, v, { mask: past(mask, window) });
          return linear(merge(seen), d, { name: "o_proj", bias: settings.attentionBias });
        });
        const middle = x.add(attended);
        const between = rmsNorm(middle, { name: "post_attention_layernorm", epsilon });
        return middle.add(scope("mlp", () => gatedFeedForward(between, settings)));
      });
    return readOut(rmsNorm(x, { name: "norm", epsilon }), table, settings);
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "qwen3");
  const published = { layers: 32, d: 4096, heads: 32, kvHeads: 32, width: 128, ffn: 22_016, vocab: 151_936 };
  const sizes = sizesOf(config, published);
  const window = config.flag("use_sliding_window", false) ? windowOf(config, 4096) : 0;
  const first = config.natural("max_window_layers", 28);
  return {
    ...sizes,
    ...headOf(config, "Qwen3ForCausalLM", "Qwen3Model", false),
    activation: activationOf(config, "hidden_act", "silu"),
    attentionBias: config.flag("attention_bias", false),
    windows: windowsOf(config, sizes.layers, window, (layer) =>
      window > 0 && layer >= first ? "sliding_attention" : "full_attention",
    ),
    rotary: rotaryOf(config, 10_000, config.natural("max_position_embeddings", 32_768)),
  };
}
