import { attention, heads, input, linear, merge, model } from "qkv";

/**
 * Multi-head attention: h heads side by side, joined and mixed by W^O.
 *
 * head_i = attention(x Wq_i, x Wk_i, x Wv_i); o = [head_1 … head_h] W^O.
 * Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), §3.2.2. With fewer key and value heads than query
 * heads it is grouped-query attention (Ainslie et al., arXiv:2305.13245).
 */
export default model("multi-head", { d: 512, heads: 8, kvHeads: 8, causal: false }, (settings) => {
  const { d, causal } = settings;
  const kvWidth = (d / settings.heads) * settings.kvHeads;

  const x = input("x", "f32", ["batch", "seq", d]);
  const q = heads(linear(x, d, { name: "q_proj", bias: false }), settings.heads);
  const k = heads(linear(x, kvWidth, { name: "k_proj", bias: false }), settings.kvHeads);
  const v = heads(linear(x, kvWidth, { name: "v_proj", bias: false }), settings.kvHeads);

  const mixed = merge(attention(q, k, v, { causal }));
  const o = linear(mixed, d, { name: "o_proj", bias: false });
  return { o };
});
