import { attention, einsum, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { clamp } from "./masks.ts";

/**
 * Relative position representations: a learned vector per distance, multiplied with the query.
 *
 * score = s + q · a[clamp(k - q, -furthest, furthest)] / √d.
 *
 * Shaw et al., "Self-Attention with Relative Position Representations" (arXiv:1803.02155), §3.
 */
export default model("shaw-relative", { heads: 8, d: 64, keys: "seq", furthest: 16 }, ({ furthest, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const a = param("a", [2 * furthest + 1, sizes.d]);
  const near = einsum("b h q d, r d -> b h q r", q, a).mul(1 / Math.sqrt(sizes.d));
  const o = attention(q, k, v, {
    score: (s, { b, h, q, k }) => s + near[b]![h]![q]![clamp(k - q, -furthest, furthest) + furthest]!,
  });
  return { o };
});
