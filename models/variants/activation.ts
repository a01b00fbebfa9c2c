import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Attention with another activation in the softmax's place: here a squared ReLU, causal, scaled by the number of keys.
 *
 * score = max(s, 0)² / (q + 1), and no normaliser: the scores are the weights.
 *
 * Hua et al., "Transformer Quality in Linear Time" (arXiv:2202.10447), §3.2; Wortsman et al., "Replacing softmax with
 * ReLU" (arXiv:2309.08586).
 */
export default model("activation", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const o = attention(q, k, v, {
    normaliser: "none",
    mask: causal,
    score: (s, { q }) => Math.max(s, 0) ** 2 / (q + 1),
  });
  return { o };
});
