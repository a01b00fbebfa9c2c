import {
  embedding,
  input,
  layerNorm,
  linear,
  model,
  multiHeadAttention,
  relu,
  scope,
  sinusoidal,
  type Tensor,
} from "qkv";

/**
 * Transformer encoder: embedding, positions, then layers of attention and feed-forward, each followed by Add & Norm.
 * Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), §3.1, post-norm as published.
 */
const defaults = { layers: 2, d: 512, heads: 8, ffn: 2048, vocab: 1000 };

export default model("encoder", defaults, ({ layers, d, heads, ffn, vocab }) => {
  const ids = input("ids", "i64", ["batch", "seq"]);
  const tokens = embedding(ids, vocab, d, { name: "embedding" }).mul(Math.sqrt(d));

  let x: Tensor = tokens.add(sinusoidal("seq", d));
  for (let layer = 0; layer < layers; layer++)
    x = scope(`layer.${layer}`, () => {
      const attended = multiHeadAttention(x, { heads, name: "attention" });
      const middle = layerNorm(x.add(attended), { name: "attention_norm" });
      const hidden = relu(linear(middle, ffn, { name: "ffn.in" }));
      const fed = linear(hidden, d, { name: "ffn.out" });
      return layerNorm(middle.add(fed), { name: "ffn_norm" });
    });
  return { y: x };
});
