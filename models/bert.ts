import {
  type Config,
  constant,
  embedding,
  input,
  layerNorm,
  learnedPositions,
  linear,
  model,
  multiHeadAttention,
  type Outputs,
  optionalInput,
  scope,
  slice,
  squeeze,
  type Tensor,
  tanh,
} from "qkv";
import { activate, activations } from "./parts/activations.ts";
import { paddingMask } from "./parts/padding.ts";

/**
 * BERT, the bidirectional encoder: each layer is attention and a feed-forward part, each followed by Add & Norm.
 * Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (arXiv:1810.04805).
 *
 * Without `token_type_ids` all tokens are of type 0. `pooler` adds the pooled first token to the outputs.
 * Parameters are named as in Hugging Face's checkpoints.
 */
const defaults = {
  layers: 12,
  d: 768,
  heads: 12,
  ffn: 3072,
  activation: "gelu",
  vocab: 30522,
  positions: 512,
  types: 2,
  epsilon: 1e-12,
  pooler: false,
};

export default model(
  "bert",
  defaults,
  (settings) => {
    const { layers, d, heads, ffn, activation, vocab, positions, types, epsilon, pooler } = settings;
    const inputIds = input("input_ids", "i64", ["batch", "seq"]);
    const mask = paddingMask();
    const tokenTypes = optionalInput("token_type_ids", "i64", ["batch", "seq"]);

    const embedded = scope("embeddings", () => {
      const words = embedding(inputIds, vocab, d, { name: "word_embeddings" });
      const places = learnedPositions("seq", d, { name: "position_embeddings", max: positions });
      const kinds = embedding(tokenTypes ?? constant([[0]], "i64"), types, d, { name: "token_type_embeddings" });
      return layerNorm(words.add(kinds).add(places), { name: "LayerNorm", epsilon });
    });

    const names = { q: "self.query", k: "self.key", v: "self.value", o: "output.dense" };
    let hidden: Tensor = embedded;
    for (let layer = 0; layer < layers; layer++)
      hidden = scope(`encoder.layer.${layer}`, () => {
        const attended = multiHeadAttention(hidden, { heads, name: "attention", names, mask });
        const middle = layerNorm(hidden.add(attended), { name: "attention.output.LayerNorm", epsilon });
        const wide = activate(linear(middle, ffn, { name: "intermediate.dense" }), activation);
        const fed = linear(wide, d, { name: "output.dense" });
        return layerNorm(middle.add(fed), { name: "output.LayerNorm", epsilon });
      });

    const outputs: Outputs = { last_hidden_state: hidden };
    if (!pooler) return outputs;
    const first = squeeze(slice(hidden, { axis: 1, end: 1 }), 1);
    return { ...outputs, pooler_output: tanh(linear(first, d, { name: "pooler.dense" })) };
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "bert");
  config.only("position_embedding_type", "absolute");
  config.only("is_decoder", false);
  return {
    layers: config.natural("num_hidden_layers", defaults.layers),
    d: config.natural("hidden_size", defaults.d),
    heads: config.natural("num_attention_heads", defaults.heads),
    ffn: config.natural("intermediate_size", defaults.ffn),
    activation: config.choice("hidden_act", activations, defaults.activation),
    vocab: config.natural("vocab_size", defaults.vocab),
    positions: config.natural("max_position_embeddings", defaults.positions),
    types: config.natural("type_vocab_size", defaults.types),
    epsilon: config.number("layer_norm_eps", defaults.epsilon),
    pooler: false,
  };
}
