import { attention, type Config, linear, merge, model, rmsNorm, scope, type Tensor } from "qkv";
import { cappedScores, embed, gatedFeedForward, past, projectHeads, readOut, tokenInputs } from "./parts/decoder.ts";
import { activationOf, capOf, headOf, sizesOf, windowOf, windowsOf } from "./parts/decoder-config.ts";
import { type Rotary, rotaryOf, turn } from "./parts/rotary.ts";

/**
 * Gemma 2: every other layer looks back no further than a window; scores and logits are capped; norms stand before and
 * after each part. Gemma Team, "Gemma 2" (arXiv:2408.00118).
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
  windows: [256, 0] as readonly number[],
  /** Scores are divided by its root. */
  queryScale: 16,
  /** Of scores and of logits; 0 for none. */
  scoreCap: 50,
  logitCap: 30,
  rotary: { type: "default", theta: 10_000 } as Rotary,
};

export default model(
  "gemma2",
  defaults,
  (settings) => {
    const { layers, d, epsilon, rotary, windows } = settings;
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "embed_tokens");
    // Weights of norms are stored less 1.
    const norm = (x: Tensor, name: string) => rmsNorm(x, { name, epsilon, offset: 1 });
    const scale = settings.queryScale ** -0.5;

    let x: Tensor = rows.mul(Math.sqrt(d));
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const before = norm(x, "input_layernorm");
        const attended = scope("self_attn", () => {
          const { q, k, v } = projectHeads(before, settings);
          const turned = [turn(q, rotary, positions), turn(k, rotary, positions)] as const;
          const sees = past(mask, windows[layer % windows.length]);
          const seen = attention(...turned, v, { scale, mask: sees, ...cappedScores(settings.scoreCap) });
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

function fromConfig(config: Config) {
  config.only("model_type", "gemma2");
  config.only("use_bidirectional_attention", false);
  const published = { layers: 26, d: 2304, heads: 8, kvHeads: 4, width: 256, ffn: 9216, vocab: 256_000 };
  const sizes = sizesOf(config, published);
  return {
    ...sizes,
    ...headOf(config, "Gemma2ForCausalLM", "Gemma2Model", true),
    activation: activationOf(config, "hidden_activation", "gelu_pytorch_tanh"),
    attentionBias: config.flag("attention_bias", false),
    windows: windowsOf(config, sizes.layers, windowOf(config, 4096), (layer) =>
      layer % 2 === 0 ? "sliding_attention" : "full_attention",
    ),
    queryScale: config.number("query_pre_attn_scalar", 256),
    scoreCap: capOf(config, "attn_logit_softcapping", 50),
    logitCap: capOf(config, "final_logit_softcapping", 30),
    rotary: rotaryOf(config, 10_000, config.natural("max_position_embeddings", 8192)),
  };
}
