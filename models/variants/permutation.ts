import { attention, input, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Permutation language model: causal in an order of its own for each sequence, two streams of queries.
 *
 * mask = rank(k) <= rank(q) for the content stream, rank(k) < rank(q) for the queries, which must not see themselves;
 * ranks are given at run time. The first in order of the queries gets zeros.
 *
 * Yang et al., "XLNet" (arXiv:1906.08237), §2.3.
 */
export default model("permutation", { heads: 8, d: 64 }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const g = input("g", "f32", ["batch", settings.heads, "seq", settings.d]);
  const rank = input("rank", "i64", ["batch", "seq"]);
  const content = attention(q, k, v, { mask: ({ b, q, k }) => rank[b]![k]! <= rank[b]![q]! });
  const query = attention(g, k, v, { mask: ({ b, q, k }) => rank[b]![k]! < rank[b]![q]! });
  return { content, query };
});
