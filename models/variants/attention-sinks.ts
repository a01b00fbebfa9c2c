import { attention, model, pad, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Learned attention sinks: a score per head that takes part in the softmax and stands for no token.
 *
 * o = Σₖ exp(s(q, k)) v(k) / (exp(sink[h]) + Σₖ exp(s(q, k))) over k <= q with q - k <= window. The sink is a key 0 of
 * zeros before the others, its score sink[h], its value 0.
 *
 * OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card" (arXiv:2508.10925), §2; Miller, "Attention Is Off By One"
 * (https://www.evanmiller.org/attention-is-off-by-one.html), where sink[h] = 0.
 */
export default model("attention-sinks", { heads: 8, d: 64, keys: "seq", window: 127 }, ({ window, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const sink = param("sinks", [sizes.heads]);
  const keys = pad(k, { axis: 2, low: 1 });
  const values = pad(v, { axis: 2, low: 1 });
  const o = attention(q, keys, values, {
    mask: ({ q, k }) => k === 0 || (k - 1 <= q && q - (k - 1) <= window),
    // The product with a key of zeros is 0: what is added to it is its score.
    score: (s, { h, k }) => s + (k === 0 ? sink[h]! : 0),
  });
  return { o };
});
