import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Self-attention of a non-autoregressive decoder: a position sees all others, and not itself.
 *
 * mask = k ≠ q. A sequence of one token gets zeros.
 *
 * Gu et al., "Non-Autoregressive Neural Machine Translation" (arXiv:1711.02281), §3.1.
 */
export default model("non-autoregressive", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const o = attention(q, k, v, { mask: ({ q, k }) => k !== q });
  return { o };
});
