import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal, documents } from "./masks.ts";

/**
 * Packed documents: causal attention within each of the documents that lie behind one another in one sequence.
 *
 * mask = document(q) = document(k) and inner(q - start, k - start), inner here causal; document i begins at offsets[i],
 * the last one goes on to the end.
 *
 * Krell et al., "Efficient Sequence Packing without Cross-contamination" (arXiv:2107.02027).
 */
const defaults = { heads: 8, d: 64, offsets: [0, 512, 1024, 1536, 2048, 2560, 3072, 3584] };

export default model("documents", defaults, ({ offsets, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: documents(causal, offsets) });
  return { o };
});
