import { einsum, input, model, param } from "qkv";

/**
 * Self-attention without its softmax, tokens as columns: x is [d, n].
 *
 * O = V (Kᵀ Q), written in the order that takes n² · 2d products. Without the softmax the product is associative, and
 * (V Kᵀ) Q takes n · 2d² instead (Katharopoulos et al., "Transformers are RNNs", arXiv:2006.16236). Finding that is
 * left to the compiler.
 */
export default model("linear-attention", { d: 64 }, ({ d }) => {
  const x = input("x", "f32", [d, "seq"]);
  const wq = param("wq", [d, d]);
  const wk = param("wk", [d, d]);
  const wv = param("wv", [d, d]);

  const q = einsum("o i, i n -> o n", wq, x);
  const k = einsum("o i, i n -> o n", wk, x);
  const v = einsum("o i, i n -> o n", wv, x);

  const scores = einsum("d k, d q -> k q", k, q);
  const o = einsum("d k, k q -> d q", v, scores);
  return { o };
});
