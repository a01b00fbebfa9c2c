import { attention, heads, input, linear, mean, merge, model, rope, silu, sqrt } from "qkv";
import { causal } from "./masks.ts";

/**
 * RetNet: retention, where a key's weight decays with its distance, at another rate for each head, and nothing is
 * normalised but the heads; declared in its parallel form. Its chunkwise form is left to the compiler.
 *
 * o = (silu(x Wᵍ) ⊙ [norm(Y₁) … norm(Yₕ)]) Wᵒ, Yₕ = (q kᵀ ⊙ D) v, D = γₕ^(q - k) where k ≤ q, γₕ = 1 - 2^(-5 - h).
 *
 * Sun et al., "Retentive Network: A Successor to Transformer for Large Language Models" (arXiv:2307.08621), §2.
 */
export default model("retnet", { heads: 8, d: 64 }, ({ heads: n, d }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const project = (name: string) => linear(x, width, { name, bias: false });
  const q = rope(heads(project("q_proj"), n), { interleaved: true });
  const k = rope(heads(project("k_proj"), n), { interleaved: true });
  const v = heads(project("v_proj"), n);
  const y = attention(q, k, v, {
    normaliser: "none",
    mask: causal,
    score: (s, { h, q, k }) => s * (1 - 2 ** (-5 - h)) ** (q - k),
  });
  const size = sqrt(mean(y.mul(y), { axes: -1, keepDims: true }).add(1e-5));
  const gate = silu(project("g_proj"));
  const o = linear(gate.mul(merge(y.div(size))), width, { name: "o_proj", bias: false });
  return { o };
});
