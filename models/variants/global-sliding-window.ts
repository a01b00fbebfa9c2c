import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { or, window } from "./masks.ts";

/**
 * Global sliding window: a window on both sides, and tokens at any places that see everything and are seen by all.
 *
 * mask = |q - k| <= reach or q or k is one of `globals`.
 *
 * Beltagy et al., "Longformer: The Long-Document Transformer" (arXiv:2004.05150), §3.1.
 */
const defaults = { heads: 8, d: 64, keys: "seq", reach: 128, globals: [0, 1024, 2048, 3072] };

export default model("global-sliding-window", defaults, ({ reach, globals, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: or(window(reach), ({ q, k }) => globals.includes(q) || globals.includes(k)),
  });
  return { o };
});
