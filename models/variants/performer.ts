import { attention, constant, einsum, exp, max, model, sum, type Tensor } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { orthogonalRows } from "./random.ts";

/**
 * Performer: the softmax kernel by positive random features (FAVOR+), bidirectional. The features are fixed by `seed`; more
 * of them come closer to softmax attention.
 *
 * score = φ(q) · φ(k) with φ(x) = exp(w · x' - |x'|²/2 - c) + ε, x' = x / d^¼, w orthogonal in blocks, over the sum of the
 * scores.
 *
 * Choromanski et al., "Rethinking Attention with Performers" (arXiv:2009.14794), §2.3–2.4.
 */
export default model("performer", { heads: 8, d: 64, features: 128, seed: 1, keys: "seq" }, (settings) => {
  const { d, features: count, seed } = settings;
  const { q, k, v } = queriesKeysValues(settings);
  const w = constant(orthogonalRows(count, d, seed));
  const epsilon = 1e-4;

  /** c keeps exponentials from overflowing: it is the same for all features of a query, and for all keys of a head. */
  const features = (x: Tensor, axes: readonly number[]) => {
    const scaled = x.mul(d ** -0.25);
    const projected = einsum("b h n d, m d -> b h n m", scaled, w);
    const half = sum(scaled.mul(scaled), { axes: -1, keepDims: true }).mul(0.5);
    const c = max(projected, { axes, keepDims: true });
    return exp(projected.sub(half).sub(c)).add(epsilon);
  };
  const o = attention(features(q, [-1]), features(k, [-1, -2]), v, { scale: 1, normaliser: "sum" });
  return { o };
});
