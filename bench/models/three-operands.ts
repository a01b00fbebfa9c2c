import { einsum, input, model } from "qkv";

/** Attention without its softmax as one einsum of three operands; nothing says in which order to take them. */
export default model("three-operands", { heads: 8, d: 64 }, ({ heads, d }) => {
  const q = input("q", "f32", ["batch", heads, "seq", d]);
  const k = input("k", "f32", ["batch", heads, "seq", d]);
  const v = input("v", "f32", ["batch", heads, "seq", d]);
  const o = einsum("b h q d, b h k d, b h k e -> b h q e", q, k, v);
  return { o };
});
