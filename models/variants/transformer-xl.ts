import { attention, einsum, input, model, param, sinusoidal } from "qkv";

/**
 * Transformer-XL: keys of earlier segments before the own ones, and positions only as distances.
 *
 * score = ((q + u) · k + (q + w) · r[distance]) / √d, distance = q + past - k, r = W sin/cos(distance); causal.
 *
 * Dai et al., "Transformer-XL" (arXiv:1901.02860), §3.3.
 */
export default model("transformer-xl", { heads: 8, d: 64 }, ({ heads, d }) => {
  const q = input("q", "f32", ["batch", heads, "seq", d]);
  const keys = input("k", "f32", ["batch", heads, "past + seq", d]);
  const v = input("v", "f32", ["batch", heads, "past + seq", d]);
  const bias = (name: string) => param(name, [heads, 1, d]);
  const scale = 1 / Math.sqrt(d);

  const distances = sinusoidal("past + seq", heads * d);
  const r = einsum("n e, h e d -> h n d", distances, param("r", [heads, heads * d, d]));
  const byDistance = einsum("b h q d, h n d -> b h q n", q.add(bias("w")), r).mul(scale);
  const o = attention(q.add(bias("u")), keys, v, {
    scale,
    mask: ({ q, k }) => k <= q + Number(keys.dim(2)) - Number(byDistance.dim(2)),
    score: (s, { b, h, q, k }) => {
      const distance = q + Number(keys.dim(2)) - Number(byDistance.dim(2)) - k;
      return s + byDistance[b]![h]![q]![Math.max(distance, 0)]!;
    },
  });
  return { o };
});
