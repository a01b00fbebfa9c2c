import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { window } from "./masks.ts";

/**
 * Local attention: a query sees the keys at most `reach` away, on both sides.
 *
 * mask = |q - k| <= reach.
 *
 * Parmar et al., "Image Transformer" (arXiv:1802.05751), §3.3.
 */
export default model("local", { heads: 8, d: 64, keys: "seq", reach: 128 }, ({ reach, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: window(reach) });
  return { o };
});
