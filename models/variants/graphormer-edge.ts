import { attention, input, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Graphormer's edge encoding: a bias that is the mean over the edges of a shortest path, learned per head, step and type.
 *
 * score = s + 1 / max(n, 1) · Σᵢ bias[h, i, type[b, q, k, i]] over the n = steps[b, q, k] first edges of the path, at most
 * `longest`; types and numbers of steps are given at run time.
 *
 * Ying et al., "Do Transformers Really Perform Bad for Graph Representation?" (arXiv:2106.05234), §3.1.3.
 */
const defaults = { heads: 8, d: 64, longest: 5, types: 16 };

export default model("graphormer-edge", defaults, ({ longest, types, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const type = input("type", "i64", ["batch", "seq", "seq", longest]);
  const steps = input("steps", "i64", ["batch", "seq", "seq"]);
  const bias = param("bias", [sizes.heads, longest, types]);
  const o = attention(q, k, v, {
    score: (s, { b, h, q, k }) => {
      const n = steps[b]![q]![k]!;
      let sum = 0;
      for (let i = 0; i < longest; i++) sum += i < n ? bias[h]![i]![type[b]![q]![k]![i]!]! : 0;
      return s + sum / Math.max(n, 1);
    },
  });
  return { o };
});
