import { attention, input, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Graphormer's spatial encoding: nodes of a graph attend to one another with a bias learned per head and distance.
 *
 * score = s + bias[h, distance[b, q, k]], distances being lengths of shortest paths, capped, given at run time.
 *
 * Ying et al., "Do Transformers Really Perform Bad for Graph Representation?" (arXiv:2106.05234), §3.1.2.
 */
export default model("graphormer-spatial", { heads: 8, d: 64, distances: 32 }, ({ distances, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const distance = input("distance", "i64", ["batch", "seq", "seq"]);
  const bias = param("bias", [sizes.heads, distances]);
  const o = attention(q, k, v, { score: (s, { b, h, q, k }) => s + bias[h]![distance[b]![q]![k]!]! });
  return { o };
});
