import { attention, concat, model, param, repeat } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Persistent memory: learned keys and values that every query sees beside those of the tokens.
 *
 * o = softmax(q [M k]ᵀ / √d) [N v], M and N being `memory` learned vectors per head; the tokens causal.
 *
 * Sukhbaatar et al., "Augmenting Self-attention with Persistent Memory" (arXiv:1907.01470), §4.1; as prefixes in Li and
 * Liang, "Prefix-Tuning" (arXiv:2101.00190).
 */
export default model("persistent-memory", { heads: 8, d: 64, keys: "seq", memory: 16 }, ({ memory, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const learned = (name: string) =>
    repeat(param(name, [sizes.heads, memory, sizes.d]), "h m d -> b h m d", { b: "batch" });
  const keys = concat([learned("memory_keys"), k], 2);
  const values = concat([learned("memory_values"), v], 2);
  const o = attention(q, keys, values, { mask: ({ q, k }) => k < memory || k - memory <= q });
  return { o };
});
