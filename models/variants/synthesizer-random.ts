import { einsum, heads, input, linear, merge, model, param, slice, softmax } from "qkv";

/**
 * Random Synthesizer: one table of scores for all inputs, trained or left as it was drawn.
 *
 * o = softmax(R) v, R the first n rows and columns of a table for each head.
 *
 * Tay et al., "Synthesizer: Rethinking Self-Attention in Transformer Models" (arXiv:2005.00743), §3.2.
 */
export default model("synthesizer-random", { heads: 8, d: 64, longest: 1024 }, ({ heads: n, d, longest }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const table = param("scores", [n, longest, longest]);
  const scores = slice(slice(table, { axis: 1, end: "seq" }), { axis: 2, end: "seq" });
  const v = heads(linear(x, width, { name: "v_proj" }), n);
  const seen = einsum("h q k, b h k d -> b h q d", softmax(scores), v);
  return { o: linear(merge(seen), width, { name: "o_proj" }) };
});
