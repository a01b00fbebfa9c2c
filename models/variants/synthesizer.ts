import { einsum, heads, input, linear, merge, model, relu, slice, softmax } from "qkv";

/**
 * Dense Synthesizer: the scores of a query are made from its own token, by a layer of two; no key is looked at. They are
 * as wide as the longest sequence.
 *
 * o = softmax(W₂ relu(W₁ x + b₁) + b₂) v, the first n scores of n tokens.
 *
 * Tay et al., "Synthesizer: Rethinking Self-Attention in Transformer Models" (arXiv:2005.00743), §3.1.
 */
export default model("synthesizer", { heads: 8, d: 64, longest: 1024 }, ({ heads: n, d, longest }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const hidden = relu(linear(x, width, { name: "hidden" }));
  const made = heads(linear(hidden, n * longest, { name: "scores" }), n);
  const scores = slice(made, { axis: 3, end: "seq" });
  const v = heads(linear(x, width, { name: "v_proj" }), n);
  const seen = einsum("b h q k, b h k d -> b h q d", softmax(scores), v);
  return { o: linear(merge(seen), width, { name: "o_proj" }) };
});
