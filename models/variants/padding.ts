import { attention, input, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Padded batches: each sequence of the batch has a length of its own, and what lies behind it is not seen.
 *
 * mask = k < lengths[b], given at run time. Queries of an empty sequence get zeros.
 *
 * Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), as every batch needs it.
 */
export default model("padding", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const lengths = input("lengths", "i64", ["batch"]);
  const o = attention(q, k, v, { mask: ({ b, k }) => k < lengths[b]! });
  return { o };
});
