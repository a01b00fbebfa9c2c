import {
  add,
  attention,
  cast,
  div,
  embedding,
  expandDims,
  gelu,
  heads,
  input,
  layerNorm,
  learnedPositions,
  linear,
  maximum,
  merge,
  model,
  mul,
  notEqual,
  scope,
  sqrt,
  sum,
  type Tensor,
} from "qkv";

/**
 * all-MiniLM-L6-v2, the sentence encoder: BERT (Devlin et al., arXiv:1810.04805) of 6 layers distilled as MiniLM (Wang
 * et al., arXiv:2002.10957), then the mean over real tokens, scaled to length 1 (Reimers & Gurevych, arXiv:1908.10084).
 * Parameters are named as in the published checkpoint.
 */
const defaults = { layers: 6, d: 384, heads: 12, ffn: 1536, vocab: 30522, positions: 512, types: 2, epsilon: 1e-12 };

export default model("minilm", defaults, (settings) => {
  const { layers, d, ffn, vocab, positions, types, epsilon } = settings;
  const inputIds = input("input_ids", "i64", ["batch", "seq"]);
  const attentionMask = input("attention_mask", "i64", ["batch", "seq"]);
  const tokenTypes = input("token_type_ids", "i64", ["batch", "seq"]);

  const embedded = scope("embeddings", () => {
    const words = embedding(inputIds, vocab, d, { name: "word_embeddings" });
    const places = learnedPositions("seq", d, { name: "position_embeddings", max: positions });
    const kinds = embedding(tokenTypes, types, d, { name: "token_type_embeddings" });
    return layerNorm(words.add(kinds).add(places), { name: "LayerNorm", epsilon });
  });

  const visible = expandDims(notEqual(attentionMask, 0), 1, 2);
  let hidden: Tensor = embedded;
  for (let layer = 0; layer < layers; layer++)
    hidden = scope(`encoder.layer.${layer}`, () => {
      const q = heads(linear(hidden, d, { name: "attention.self.query" }), settings.heads);
      const k = heads(linear(hidden, d, { name: "attention.self.key" }), settings.heads);
      const v = heads(linear(hidden, d, { name: "attention.self.value" }), settings.heads);
      const context = merge(attention(q, k, v, { mask: visible }));
      const attended = linear(context, d, { name: "attention.output.dense" });
      const middle = layerNorm(add(attended, hidden), { name: "attention.output.LayerNorm", epsilon });
      const wide = gelu(linear(middle, ffn, { name: "intermediate.dense" }));
      const fed = linear(wide, d, { name: "output.dense" });
      return layerNorm(add(fed, middle), { name: "output.LayerNorm", epsilon });
    });

  const real = expandDims(cast(attentionMask, "f32"), 2);
  const total = sum(mul(hidden, real), { axes: 1 });
  const count = maximum(sum(real, { axes: 1 }), 1e-9);
  const mean = div(total, count);
  const length = maximum(sqrt(sum(mul(mean, mean), { axes: -1, keepDims: true })), 1e-12);
  const embeddingOut = div(mean, length);
  return { last_hidden_state: hidden, sentence_embedding: embeddingOut };
});
