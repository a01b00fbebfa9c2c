import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { documentOf } from "./masks.ts";

/**
 * Packed causal documents: as `documents`, written so that every query sees one run of keys.
 *
 * mask = start(document(q)) <= k <= q; document i begins at offsets[i], the last one goes on to the end.
 *
 * Krell et al., "Efficient Sequence Packing without Cross-contamination" (arXiv:2107.02027).
 */
const defaults = { heads: 8, d: 64, offsets: [0, 512, 1024, 1536, 2048, 2560, 3072, 3584] };

export default model("packed-causal-documents", defaults, ({ offsets, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const of = documentOf(offsets);
  const o = attention(q, k, v, { mask: ({ q, k }) => offsets[of(q)]! <= k && k <= q });
  return { o };
});
