import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Strided attention of the Sparse Transformer: the last `stride` tokens, and every `stride`-th one before them.
 *
 * mask = k <= q and (q - k < stride or (q - k) mod stride = 0).
 *
 * Child et al., "Generating Long Sequences with Sparse Transformers" (arXiv:1904.10509), §4.3.
 */
export default model("strided", { heads: 8, d: 64, keys: "seq", stride: 64 }, ({ stride, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: ({ q, k }) => k <= q && (q - k < stride || (q - k) % stride === 0) });
  return { o };
});
