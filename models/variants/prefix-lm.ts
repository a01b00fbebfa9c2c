import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal, or, prefix } from "./masks.ts";

/**
 * Prefix language model: the first `length` tokens are seen by all, what follows is causal.
 *
 * mask = k < length or k <= q.
 *
 * Raffel et al., "Exploring the Limits of Transfer Learning" (T5, arXiv:1910.10683), §3.2.
 */
export default model("prefix-lm", { heads: 8, d: 64, keys: "seq", length: 256 }, ({ length, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: or(prefix(length), causal) });
  return { o };
});
