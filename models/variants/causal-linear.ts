import { attention, elu, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Causal linear attention: what a query has seen of φ(k)ᵀ v is a state of fixed size, so that the cost is linear in the
 * length. Declared over pairs of query and key; finding the state, and walking it by chunks, is left to the compiler.
 *
 * score = φ(q) · φ(k) with φ(x) = elu(x) + 1, over the sum of the scores of keys k ≤ q; as it is without the normaliser.
 *
 * Katharopoulos et al., "Transformers are RNNs" (arXiv:2006.16236), §3.3.
 */
export default model("causal-linear", { heads: 8, d: 64, normalised: true }, ({ normalised, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const normaliser = normalised ? "sum" : "none";
  const o = attention(elu(q).add(1), elu(k).add(1), v, { scale: 1, mask: causal, normaliser });
  return { o };
});
