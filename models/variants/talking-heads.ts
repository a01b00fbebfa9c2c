import { einsum, model, param, softmax } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Talking heads: heads are mixed before and after the softmax, each time by a learned matrix.
 *
 * o[g] = Σₕ W[h, g] softmax(Σᵢ L[i, h] q[i] k[i]ᵀ / √d) v[g].
 *
 * Shazeer et al., "Talking-Heads Attention" (arXiv:2003.02436), §4.
 */
export default model("talking-heads", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { heads, d } = settings;
  const { q, k, v } = queriesKeysValues(settings);
  const scores = einsum("b h q d, b h k d -> b h q k", q, k).mul(1 / Math.sqrt(d));
  const mixedScores = einsum("b i q k, i h -> b h q k", scores, param("logits", [heads, heads]));
  const weights = softmax(mixedScores);
  const mixedWeights = einsum("b h q k, h g -> b g q k", weights, param("weights", [heads, heads]));
  const o = einsum("b g q k, b g k d -> b g q d", mixedWeights, v);
  return { o };
});
