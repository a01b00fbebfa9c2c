import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Causal attention: a query sees itself and the keys before it.
 *
 * mask = k <= q.
 *
 * Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), §3.2.3.
 */
export default model("causal", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const o = attention(q, k, v, { mask: causal });
  return { o };
});
