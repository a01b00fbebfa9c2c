import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Sigmoid attention: each weight by itself, without a sum over the keys.
 *
 * score = 1 / (1 + exp(-(s - ln n))), n being the number of keys, and no normaliser: the scores are the weights.
 *
 * Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention" (arXiv:2409.04431), §2.
 */
export default model("sigmoid-attention", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k: keys, v } = queriesKeysValues(settings);
  const o = attention(q, keys, v, {
    normaliser: "none",
    score: (s) => 1 / (1 + Math.exp(Math.log(Number(keys.dim(2))) - s)),
  });
  return { o };
});
