import { attention, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Scalable softmax: scores grow with the number of keys, so that attention does not flatten over long contexts.
 *
 * score = scale[h] · ln(n) · s, n = q + 1 being the number of keys a query sees; causal.
 *
 * Nakanishi, "Scalable-Softmax Is Superior for Attention" (arXiv:2501.19399), §3.
 */
export default model("scalable-softmax", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const scale = param("scale", [settings.heads]);
  const o = attention(q, k, v, { mask: causal, score: (s, { h, q }) => scale[h]! * Math.log(q + 1) * s });
  return { o };
});
