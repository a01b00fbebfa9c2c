import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Dilated sliding window: a query sees every `dilation`-th key at most `reach` away, on both sides.
 *
 * mask = |q - k| <= reach and |q - k| mod dilation = 0.
 *
 * Beltagy et al., "Longformer" (arXiv:2004.05150), §3.1.
 */
const defaults = { heads: 8, d: 64, keys: "seq", reach: 256, dilation: 4 };

export default model("dilated-sliding-window", defaults, ({ reach, dilation, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => Math.abs(q - k) <= reach && Math.abs(q - k) % dilation === 0,
  });
  return { o };
});
