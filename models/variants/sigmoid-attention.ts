import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Sigmoid attention: each weight by itself, without a sum over the keys.
 *
 * o = σ(q kᵀ / √d - ln n) v, n being the number of keys.
 *
 * Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention" (arXiv:2409.04431), §2.
 */
export default model("sigmoid-attention", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k: keys, v } = queriesKeysValues(settings);
  const o = attention(q, keys, v, { normaliser: "sigmoid", score: (s) => s - Math.log(Number(keys.dim(2))) });
  return { o };
});
