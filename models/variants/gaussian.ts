import { attention, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Gaussian bias: a soft window around the query, as wide as each head has learned.
 *
 * score = s - (q - k)² / (2 σ[h]²), σ being the exponential of a parameter.
 *
 * Yang et al., "Modeling Localness for Self-Attention Networks" (arXiv:1810.10182), §3.
 */
export default model("gaussian", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const width = param("log_width", [settings.heads]);
  const o = attention(q, k, v, {
    score: (s, { h, q, k }) => s - (q - k) ** 2 / (2 * Math.exp(2 * width[h]!)),
  });
  return { o };
});
