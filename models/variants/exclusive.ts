import { attention, model, sum } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Exclusive self-attention: what a token finds, without the part that points where its own value does.
 *
 * o = y - (y · v / v · v) v, y being causal attention and v the value of the query's own token.
 *
 * Zhai, "Exclusive Self Attention" (arXiv:2603.09078).
 */
export default model("exclusive", { heads: 8, d: 64 }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const y = attention(q, k, v, { mask: causal });
  const along = sum(y.mul(v), { axes: -1, keepDims: true });
  const length = sum(v.mul(v), { axes: -1, keepDims: true }).maximum(1e-30);
  const o = y.sub(v.mul(along.div(length)));
  return { o };
});
