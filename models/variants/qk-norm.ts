import { attention, model, rmsNorm } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Normalised queries and keys: no score grows with the length of a vector, so that training stays stable.
 *
 * o = softmax(norm(q) norm(k)ᵀ / √d) v, norm(x) = gain · x / √(mean x² + ε) along the head; causal.
 *
 * Henry et al., "Query-Key Normalization for Transformers" (arXiv:2010.04245); Dehghani et al., "Scaling Vision
 * Transformers to 22 Billion Parameters" (arXiv:2302.05442), §2.
 */
export default model("qk-norm", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const query = rmsNorm(q, { name: "q_norm", epsilon: 1e-6 });
  const key = rmsNorm(k, { name: "k_norm", epsilon: 1e-6 });
  const o = attention(query, key, v, { mask: causal });
  return { o };
});
