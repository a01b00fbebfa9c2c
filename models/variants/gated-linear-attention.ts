import { abs, exp, heads, input, linear, linearAttention, log, merge, minimum, model, neg } from "qkv";

/**
 * Gated linear attention: each element of the state's rows is kept as far as a gate says that the token opens, here by a
 * projection of low rank.
 *
 * S ← diag(α) S + k vᵀ, o = (Sᵀ q / √d) Wᵒ, α = σ(x Wᵃ Wᵇ + b)^(1/16).
 *
 * Yang et al., "Gated Linear Attention Transformers with Hardware-Efficient Training" (arXiv:2312.06635), §4.
 */
export default model("gated-linear-attention", { heads: 8, d: 64, rank: 16 }, ({ heads: n, d, rank }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) => heads(linear(x, width, { name, bias: false }), n));
  const z = heads(linear(linear(x, rank, { name: "gate_down", bias: false }), width, { name: "gate_up" }), n);
  // log σ(z), which neither overflows nor rounds to 0.
  const logSigmoid = minimum(z, 0).sub(log(exp(neg(abs(z))).add(1)));
  const seen = linearAttention(q!, k!, v!, { scale: 1 / Math.sqrt(d), logDecay: logSigmoid.div(16) });
  return { o: linear(merge(seen), width, { name: "o_proj", bias: false }) };
});
