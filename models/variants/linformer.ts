import { attention, einsum, input, model, param } from "qkv";

/**
 * Linformer: keys and values are projected along the length, from n tokens to r, so that the scores are n × r. The length
 * is fixed when the model is declared.
 *
 * o = softmax(q (E k)ᵀ / √d) (F v), E and F r × n, shared by the heads.
 *
 * Wang et al., "Linformer: Self-Attention with Linear Complexity" (arXiv:2006.04768), §4.
 */
export default model("linformer", { heads: 8, d: 64, length: 1024, rank: 64 }, ({ heads, d, length, rank }) => {
  const q = input("q", "f32", ["batch", heads, length, d]);
  const k = input("k", "f32", ["batch", heads, length, d]);
  const v = input("v", "f32", ["batch", heads, length, d]);
  const keys = einsum("b h n d, r n -> b h r d", k, param("e_proj", [rank, length]));
  const values = einsum("b h n d, r n -> b h r d", v, param("f_proj", [rank, length]));
  return { o: attention(q, keys, values) };
});
