import { attention, elu, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Linear Transformer: positive features in place of the exponential, so that the product of queries and keys need not be
 * formed: (φ(q) φ(k)ᵀ) v = φ(q) (φ(k)ᵀ v).
 *
 * score = φ(q) · φ(k) with φ(x) = elu(x) + 1, over the sum of the scores.
 *
 * Katharopoulos et al., "Transformers are RNNs" (arXiv:2006.16236), §3.2.
 */
export default model("linear-transformer", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const o = attention(elu(q).add(1), elu(k).add(1), v, { scale: 1, normaliser: "sum" });
  return { o };
});
