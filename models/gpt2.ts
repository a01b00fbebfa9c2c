import {
  add,
  attention,
  type Config,
  gather,
  heads,
  layerNorm,
  learnedPositions,
  linear,
  merge,
  model,
  optionalInput,
  param,
  scope,
  split,
  type Tensor,
} from "qkv";
import { activate } from "./parts/activations.ts";
import { embed, past, readOut, tokenInputs } from "./parts/decoder.ts";
import { activationOf, headOf } from "./parts/decoder-config.ts";

/**
 * GPT-2: a decoder with learned positions, and LayerNorm before each part. Radford et al., "Language Models are
 * Unsupervised Multitask Learners" (2019). Its matrices are stored [in, out].
 */
const defaults = {
  layers: 2,
  d: 64,
  heads: 4,
  ffn: 256,
  vocab: 1000,
  positions: 1024,
  epsilon: 1e-5,
  activation: "gelu_new",
  /** Scores over √width, and over 1, 2, … from layer to layer. */
  scaleByWidth: true,
  scaleByLayer: false,
  head: true,
  tied: true,
};

export default model(
  "gpt2",
  defaults,
  (settings) => {
    const { layers, d, epsilon, ffn, activation } = settings;
    const { ids, mask, positions } = tokenInputs();
    const { rows, table } = embed(ids, settings.vocab, d, "wte");
    const places = positions
      ? gather(param("wpe.weight", [settings.positions, d]), positions, { axis: 0 })
      : learnedPositions("seq", d, { name: "wpe", max: settings.positions });
    const segments = optionalInput("token_type_ids", "i64", ["batch", "seq"]);
    const dense = (x: Tensor, out: number, name: string) => linear(x, out, { name, weightLayout: "in-out" });

    let x: Tensor = add(rows, places);
    if (segments) x = x.add(gather(table, segments, { axis: 0 }));
    for (let layer = 0; layer < layers; layer++)
      x = scope(`h.${layer}`, () => {
        const scale =
          (settings.scaleByWidth ? (d / settings.heads) ** -0.5 : 1) / (settings.scaleByLayer ? layer + 1 : 1);
        const before = layerNorm(x, { name: "ln_1", epsilon });
        const [q, k, v] = split(dense(before, 3 * d, "attn.c_attn"), 3, 2).map((part) => heads(part, settings.heads));
        const seen = attention(q!, k!, v!, { scale, mask: past(mask) });
        const middle = x.add(dense(merge(seen), d, "attn.c_proj"));
        const between = layerNorm(middle, { name: "ln_2", epsilon });
        const wide = activate(dense(between, ffn, "mlp.c_fc"), activation);
        return middle.add(dense(wide, d, "mlp.c_proj"));
      });
    return readOut(layerNorm(x, { name: "ln_f", epsilon }), table, settings);
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "gpt2");
  config.only("add_cross_attention", false);
  const d = config.natural(["n_embd", "hidden_size"], 768);
  return {
    layers: config.natural(["n_layer", "num_hidden_layers"], 12),
    d,
    heads: config.natural(["n_head", "num_attention_heads"], 12),
    ffn: config.natural("n_inner", 4 * d),
    vocab: config.natural("vocab_size", 50_257),
    positions: config.natural(["n_positions", "max_position_embeddings"], 1024),
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    activation: activationOf(config, "activation_function", "gelu_new"),
    scaleByWidth: config.flag("scale_attn_weights", true),
    scaleByLayer: config.flag("scale_attn_by_inverse_layer_idx", false),
    ...headOf(config, "GPT2LMHeadModel", "GPT2Model", true),
  };
}
