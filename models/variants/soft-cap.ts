import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Soft-capped scores: no score is beyond ±cap, and small ones are left as they are.
 *
 * score = cap · tanh(s / cap), causal; the cap comes before the mask.
 *
 * Gemma Team, "Gemma 2" (arXiv:2408.00118), §2; Bello et al. (arXiv:1611.09940), appendix A.1.
 */
export default model("soft-cap", { heads: 8, d: 64, keys: "seq", cap: 50 }, ({ cap, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: causal, score: (s) => cap * Math.tanh(s / cap) });
  return { o };
});
