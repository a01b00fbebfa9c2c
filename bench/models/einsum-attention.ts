import { einsum, input, model, softmax } from "qkv";

/** Scaled dot-product attention (Vaswani et al., arXiv:1706.03762), written with einsum, projections left out. */
export default model("einsum-attention", { heads: 8, d: 64 }, ({ heads, d }) => {
  const q = input("q", "f32", ["batch", heads, "seq", d]);
  const k = input("k", "f32", ["batch", heads, "seq", d]);
  const v = input("v", "f32", ["batch", heads, "seq", d]);
  const scores = einsum("b h q d, b h k d -> b h q k", q, k).mul(1 / Math.sqrt(d));
  const o = einsum("b h q k, b h k d -> b h q d", softmax(scores), v);
  return { o };
});
