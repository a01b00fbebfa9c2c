import { attention, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * KERPLE: a learned kernel of the distance, logarithmic here, that falls ever more slowly the further away.
 *
 * score = s - a[h] ln(1 + c[h] (q - k)), a and c being positive: exponentials of parameters; causal.
 *
 * Chi et al., "KERPLE: Kernelized Relative Positional Embedding" (arXiv:2205.09921), §4.
 */
export default model("kerple", { heads: 8, d: 64, keys: "seq" }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const a = param("log_a", [settings.heads]);
  const c = param("log_c", [settings.heads]);
  const o = attention(q, k, v, {
    mask: causal,
    score: (s, { h, q, k }) => s - Math.exp(a[h]!) * Math.log(1 + Math.exp(c[h]!) * Math.abs(q - k)),
  });
  return { o };
});
