import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Fixed attention of the Sparse Transformer: the own block, and the last `summary` tokens of every block before it.
 *
 * mask = k <= q and (⌊q / block⌋ = ⌊k / block⌋ or k mod block >= block - summary).
 *
 * Child et al., "Generating Long Sequences with Sparse Transformers" (arXiv:1904.10509), §4.3.
 */
const defaults = { heads: 8, d: 64, keys: "seq", block: 128, summary: 8 };

export default model("fixed", defaults, ({ block, summary, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => k <= q && (Math.floor(q / block) === Math.floor(k / block) || k % block >= block - summary),
  });
  return { o };
});
