import { attention, heads, input, linear, merge, model, sigmoid } from "qkv";
import { causal } from "./masks.ts";

/**
 * Gated attention: what the heads found passes a gate that the query's own token opens, element by element.
 *
 * o = ([head₁ … headₙ] ⊙ σ(x Wᵍ)) Wᵒ; causal.
 *
 * Qiu et al., "Gated Attention for Large Language Models" (arXiv:2505.06708), §2.2.
 */
export default model("gated-attention", { heads: 8, d: 64 }, ({ heads: n, d }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const project = (name: string) => linear(x, width, { name, bias: false });
  const q = heads(project("q_proj"), n);
  const k = heads(project("k_proj"), n);
  const v = heads(project("v_proj"), n);
  const found = merge(attention(q, k, v, { mask: causal }));
  const gate = sigmoid(project("gate_proj"));
  const o = linear(found.mul(gate), width, { name: "o_proj", bias: false });
  return { o };
});
