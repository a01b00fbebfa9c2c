import { attention, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal, clamp } from "./masks.ts";

/**
 * Adaptive span: each head learns how far back it sees; weights fade out over a ramp behind its span.
 *
 * score = s + ln m, m = clamp((ramp + span[h] · longest - (q - k)) / ramp, 0, 1), hidden where m = 0; causal.
 *
 * Sukhbaatar et al., "Adaptive Attention Span in Transformers" (arXiv:1905.07799), §2.1.
 */
const defaults = { heads: 8, d: 64, keys: "seq", longest: 1024, ramp: 32 };

export default model("adaptive-span", defaults, ({ longest, ramp, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const span = param("span", [sizes.heads]);
  const o = attention(q, k, v, {
    mask: causal,
    score: (s, { h, q, k }) => {
      const reach = clamp(span[h]!, 0, 1) * longest;
      const left = clamp((ramp + reach - (q - k)) / ramp, 0, 1);
      return left > 0 ? s + Math.log(left) : -Infinity;
    },
  });
  return { o };
});
