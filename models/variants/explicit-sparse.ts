import { attention, einsum, model, slice, topK } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Explicit sparse attention: each query keeps its `top` highest scores, whichever keys they belong to.
 *
 * mask = s >= the `top`-th highest score of the query.
 *
 * Zhao et al., "Explicit Sparse Transformer" (arXiv:1912.11637), §3.
 */
export default model("explicit-sparse", { heads: 8, d: 64, keys: "seq", top: 8 }, ({ top, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const scores = einsum("b h q d, b h k d -> b h q k", q, k);
  const [highest] = topK(scores, `min(${top}, ${sizes.keys})`);
  const least = slice(highest, { axis: 3, start: -1 });
  const o = attention(q, k, v, {
    mask: ({ b, h, q, k }) => scores[b]![h]![q]![k]! >= least[b]![h]![q]![0]!,
  });
  return { o };
});
