import { attention, einsum, exp, heads, input, linear, merge, model, param, rmsNorm, split } from "qkv";
import { causal } from "./masks.ts";

/**
 * Differential attention: the difference of two softmax maps, in which what both attend to by mistake cancels.
 *
 * head = (1 - λ₀) · norm((softmax(q₁ k₁ᵀ / √d) - λ softmax(q₂ k₂ᵀ / √d)) v), v being 2 d wide;
 * λ = exp(a · b) - exp(c · e) + λ₀ with learned vectors, λ₀ = 0.8 - 0.6 exp(-0.3 (layer - 1)); causal.
 *
 * Ye et al., "Differential Transformer" (arXiv:2410.05258), §2.1.
 */
const defaults = { heads: 4, d: 64, layer: 1 };

export default model("differential", defaults, ({ heads: n, d, layer }) => {
  const width = 2 * n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const project = (name: string) => linear(x, width, { name, bias: false });
  const [q1, q2] = split(heads(project("q_proj"), 2 * n), 2, 1);
  const [k1, k2] = split(heads(project("k_proj"), 2 * n), 2, 1);
  const v = heads(project("v_proj"), n);

  const start = 0.8 - 0.6 * Math.exp(-0.3 * (layer - 1));
  const product = (of: string) => exp(einsum("d, d ->", param(`lambda_q${of}`, [d]), param(`lambda_k${of}`, [d])));
  const lambda = product("1").sub(product("2")).add(start);

  const first = attention(q1!, k1!, v, { mask: causal });
  const second = attention(q2!, k2!, v, { mask: causal });
  const head = rmsNorm(first.sub(second.mul(lambda)), { name: "head_norm" }).mul(1 - start);
  const o = linear(merge(head), width, { name: "o_proj", bias: false });
  return { o };
});
