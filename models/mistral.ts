import { attention, type Config, linear, merge, model, rmsNorm, scope } from "qkv";
import { embed, gatedFeedForward, past, projectHeads, readOut, tokenInputs } from "./parts/decoder.ts";
import { activationOf, headOf, sizesOf, windowOf } from "./parts/decoder-config.ts";
import { type Rotary, rotaryOf, turn } from "./parts/rotary.ts";

/**
 * Mistral: Llama whose tokens look back no further than a window. Jiang et al., "Mistral 7B" (arXiv:2310.06825).
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
  activation: "silu",
  head: true,
  tied: false,
  /** 0 for the whole past. */
  window: 256,
  rotary: { type: "default", theta: 10_000 } as Rotary,
};

export default model(
  "mistral",
  defaults,
  (settings) => {
    const { layers, d, epsilon, rotary, window } = settings;
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "embed_tokens");

    let x = rows;
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const before = rmsNorm(x, { name: "input_layernorm", epsilon });
        const attended = scope("self_attn", () => {
          const { q, k, v } = projectHeads(before, settings);
          const turned = [turn(q, rotary, positions), turn(k, rotary, positions)] as const;
          const seen = attention(...turned, v, { mask: past(mask, window) });
          return linear(merge(seen), d, { name: "o_proj", bias: false });
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
  config.only("model_type", "mistral");
  return {
    ...sizesOf(config, { layers: 32, d: 4096, heads: 32, kvHeads: 8, ffn: 14_336, vocab: 32_000 }),
    ...headOf(config, "MistralForCausalLM", "MistralModel", false),
    activation: activationOf(config, "hidden_act", "silu"),
    window: windowOf(config, 4096),
    rotary: rotaryOf(config, 10_000, config.natural("max_position_embeddings", 131_072)),
  };
}
