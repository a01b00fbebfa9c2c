import { attention, l2Normalise, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Scaled cosine attention: the angle between query and key, by a temperature per head.
 *
 * score = q · k / (|q| |k| max(temperature[h], 0.01)).
 *
 * Liu et al., "Swin Transformer V2" (arXiv:2111.09883), §3.3.
 */
export default model("cosine", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const temperature = param("temperature", [settings.heads]);
  const o = attention(l2Normalise(q), l2Normalise(k), v, {
    scale: 1,
    score: (s, { h }) => s / Math.max(temperature[h]!, 0.01),
  });
  return { o };
});
