import { attention, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * T5's relative position bias: learned per head and bucket of distances, buckets being wider the further away.
 *
 * score = s + bias[bucket(k - q), h], unscaled. Of the buckets half are for keys ahead, unless `causal`. Of those of one
 * side half (e) hold one distance each, then n is in bucket e + ⌊ln(n / e) / ln(furthest / e) · e⌋, at most the last.
 *
 * Raffel et al., "Exploring the Limits of Transfer Learning" (T5, arXiv:1910.10683), §2.1.
 */
const defaults = { heads: 8, d: 64, keys: "seq", buckets: 32, furthest: 128, causal: false };

export default model("t5-bias", defaults, ({ buckets, furthest, causal, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const bias = param("relative_attention_bias.weight", [buckets, sizes.heads]);
  const side = causal ? buckets : buckets / 2;
  const bucketOf = Array.from({ length: furthest + 1 }, (_, n) => bucket(n, side, furthest));
  const o = attention(q, k, v, {
    scale: 1,
    mask: ({ q, k }) => !causal || k <= q,
    score: (s, { h, q, k }) => {
      const distance = bucketOf[Math.min(Math.abs(k - q), furthest)]!;
      return s + bias[k > q && !causal ? side + distance : distance]![h]!;
    },
  });
  return { o };
});

/** The bucket of n positions away. A table of them keeps logarithms, which differ in their last bit, out of the file. */
function bucket(n: number, buckets: number, furthest: number): number {
  const exact = buckets / 2;
  if (n < exact) return n;
  const octaves = Math.log(n / exact) / Math.log(furthest / exact);
  return Math.min(exact + Math.floor(octaves * (buckets - exact) + 1e-9), buckets - 1);
}
