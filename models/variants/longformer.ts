import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { or, window } from "./masks.ts";

/**
 * Longformer: a window on both sides, and a few global tokens at the start that see everything and are seen by all.
 *
 * mask = |q - k| <= reach or q < globals or k < globals.
 *
 * Beltagy et al., "Longformer: The Long-Document Transformer" (arXiv:2004.05150), §3.1.
 */
const defaults = { heads: 8, d: 64, keys: "seq", reach: 128, globals: 16 };

export default model("longformer", defaults, ({ reach, globals, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: or(window(reach), ({ q, k }) => q < globals || k < globals) });
  return { o };
});
