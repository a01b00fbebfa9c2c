import { expandDims, heads, input, linear, linearAttention, merge, model, sigmoid, silu, transpose } from "qkv";
import { unit } from "./unit.ts";

/**
 * DeltaNet: the state is a memory from keys to values. Each token replaces, at a rate of its own, what its key finds by
 * its value.
 *
 * S ← S + β k (v - Sᵀ k)ᵀ, o = (Sᵀ q) Wᵒ, q and k of length 1, β = σ(x Wᵝ).
 *
 * Yang et al., "Parallelizing Linear Transformers with the Delta Rule over Sequence Length" (arXiv:2406.06484), §2–3.
 */
export default model("delta-rule", { heads: 8, d: 64 }, ({ heads: n, d }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const project = (name: string) => heads(silu(linear(x, width, { name, bias: false })), n);
  const [q, k, v] = [unit(project("q_proj")), unit(project("k_proj")), project("v_proj")];
  const rate = sigmoid(linear(x, n, { name: "b_proj", bias: false }));
  const seen = linearAttention(q, k, v, { rate: expandDims(transpose(rate, [0, 2, 1]), 3) });
  return { o: linear(merge(seen), width, { name: "o_proj", bias: false }) };
});
