import { attention, type Config, linear, merge, model, rmsNorm, scope } from "qkv";
import { embed, gatedFeedForward, past, projectHeads, readOut, tokenInputs } from "./parts/decoder.ts";
import { activationOf, headOf, sizesOf } from "./parts/decoder-config.ts";
import { type Rotary, rotaryOf, turn } from "./parts/rotary.ts";

/**
 * Llama: a decoder with RMSNorm before each part, rotary positions, grouped-query attention and gated feed-forward.
 * Touvron et al., "LLaMA" (arXiv:2302.13971); Llama Team, "The Llama 3 Herd of Models" (arXiv:2407.21783).
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
  attentionBias: false,
  ffnBias: false,
  head: true,
  tied: false,
  rotary: { type: "default", theta: 10_000 } as Rotary,
};

export default model(
  "llama",
  defaults,
  (settings) => {
    const { layers, d, epsilon, rotary, attentionBias: bias } = settings;
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "embed_tokens");

    let x = rows;
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const before = rmsNorm(x, { name: "input_layernorm", epsilon });
        const attended = scope("self_attn", () => {
          const { q, k, v } = projectHeads(before, settings);
          const turned = [turn(q, rotary, positions), turn(k, rotary, positions)] as const;
          return linear(merge(attention(...turned, v, { mask: past(mask) })), d, { name: "o_proj", bias });
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
  config.only("model_type", "llama");
  return {
    ...sizesOf(config, { layers: 32, d: 4096, heads: 32, ffn: 11_008, vocab: 32_000 }),
    ...headOf(config, "LlamaForCausalLM", "LlamaModel", false),
    activation: activationOf(config, "hidden_act", "silu"),
    attentionBias: config.flag("attention_bias", false),
    ffnBias: config.flag("mlp_bias", false),
    rotary: rotaryOf(config, 10_000, config.natural("max_position_embeddings", 2048)),
  };
}
