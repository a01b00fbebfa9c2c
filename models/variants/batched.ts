import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { batchify, causal } from "./masks.ts";

/**
 * Batched sequence: sequences of one length laid out behind one another, each attended as if it were alone.
 *
 * mask = ⌊q / length⌋ = ⌊k / length⌋ and inner(q mod length, k mod length), inner here causal.
 *
 * Dong et al., "Flex Attention" (arXiv:2412.05496), §3.
 */
export default model("batched", { heads: 8, d: 64, length: 512 }, ({ length, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: batchify(causal, length) });
  return { o };
});
