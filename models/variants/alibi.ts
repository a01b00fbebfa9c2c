import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * ALiBi: attention with linear biases, steeper in some heads than in others, in place of positional encodings.
 *
 * score = s + (k - q) · 2^(-8 (h + 1) / heads), causal.
 *
 * Press et al., "Train Short, Test Long" (arXiv:2108.12409), §3.
 */
export default model("alibi", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { heads } = settings;
  const { q, k, v } = queriesKeysValues(settings);
  const o = attention(q, k, v, {
    mask: causal,
    score: (s, { h, q, k }) => s + (k - q) * 2 ** ((-8 * (h + 1)) / heads),
  });
  return { o };
});
