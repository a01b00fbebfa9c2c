import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Sliding-window attention: a query sees itself and the `window` keys before it.
 *
 * mask = k <= q and q - k <= window: window + 1 keys, itself among them.
 *
 * Beltagy et al., "Longformer" (arXiv:2004.05150); Jiang et al., "Mistral 7B" (arXiv:2310.06825), §2.
 */
export default model("sliding-window", { heads: 8, d: 64, keys: "seq", window: 256 }, ({ window, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: ({ q, k }) => k <= q && q - k <= window });
  return { o };
});
