import { einsum, input, model, param, softmax } from "qkv";

/**
 * Self-attention as in the lecture notes, one head, tokens as columns: x is [d, n].
 *
 * Q = Wq x, K = Wk x, V = Wv x; A = Kᵀ Q / √d; A' = softmax of each column of A, over the keys; O = V A'.
 * The same as Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), transposed.
 */
export default model("self-attention", { d: 64 }, ({ d }) => {
  const x = input("x", "f32", [d, "seq"]);
  const wq = param("wq", [d, d]);
  const wk = param("wk", [d, d]);
  const wv = param("wv", [d, d]);

  const q = einsum("o i, i n -> o n", wq, x);
  const k = einsum("o i, i n -> o n", wk, x);
  const v = einsum("o i, i n -> o n", wv, x);

  const scores = einsum("d k, d q -> k q", k, q).mul(1 / Math.sqrt(d));
  const weights = softmax(scores, { axis: 0 });
  const o = einsum("d k, k q -> d q", v, weights);
  return { o };
});
