import { attention, type Config, heads, linear, merge, model, rmsNorm, scope, type Tensor } from "qkv";
import { activations } from "./parts/activations.ts";
import { embed, gatedFeedForward, past, readOut, tokenInputs } from "./parts/decoder.ts";
import { type Rotary, rotaryOf, turn } from "./parts/rotary.ts";

/**
 * Llama: a decoder with RMSNorm before each part, rotary positions, grouped-query attention and gated feed-forward.
 * Touvron et al., "LLaMA" (arXiv:2302.13971); Llama Team, "The Llama 3 Herd of Models" (arXiv:2407.21783). Settings and
 * weights are those of a Hugging Face checkpoint.
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
  ({ layers, d, kvHeads, width, epsilon, attentionBias: bias, rotary, ...settings }) => {
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "embed_tokens");

    let x: Tensor = rows;
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const before = rmsNorm(x, { name: "input_layernorm", epsilon });
        const q = heads(linear(before, settings.heads * width, { name: "self_attn.q_proj", bias }), settings.heads);
        const k = heads(linear(before, kvHeads * width, { name: "self_attn.k_proj", bias }), kvHeads);
        const v = heads(linear(before, kvHeads * width, { name: "self_attn.v_proj", bias }), kvHeads);
        const seen = attention(turn(q, rotary, positions), turn(k, rotary, positions), v, { mask: past(mask) });
        const middle = x.add(linear(merge(seen), d, { name: "self_attn.o_proj", bias }));
        const normed = rmsNorm(middle, { name: "post_attention_layernorm", epsilon });
        return middle.add(scope("mlp", () => gatedFeedForward(normed, { ...settings, bias: settings.ffnBias })));
      });

    const last = rmsNorm(x, { name: "norm", epsilon });
    return settings.head
      ? { logits: readOut(last, settings.tied ? table : undefined, settings.vocab) }
      : { last_hidden_state: last };
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "llama");
  const d = config.natural("hidden_size", 4096);
  const heads = config.natural("num_attention_heads", 32);
  const maxLength = config.natural("max_position_embeddings", 2048);
  return {
    layers: config.natural("num_hidden_layers", 32),
    d,
    heads,
    kvHeads: config.natural("num_key_value_heads", heads),
    width: config.natural("head_dim", Math.floor(d / heads)),
    ffn: config.natural("intermediate_size", 11_008),
    vocab: config.natural("vocab_size", 32_000),
    epsilon: config.number("rms_norm_eps", 1e-6),
    activation: config.choice("hidden_act", activations, "silu"),
    attentionBias: config.flag("attention_bias", false),
    ffnBias: config.flag("mlp_bias", false),
    head: config.architecture("LlamaForCausalLM", "LlamaModel") === "LlamaForCausalLM",
    tied: config.flag("tie_word_embeddings", false) && !config.stores("lm_head.weight"),
    rotary: rotaryOf(config, 10_000, maxLength),
  };
}
