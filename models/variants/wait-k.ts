import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Wait-k: simultaneous translation, whose step q has read `wait` source tokens more than it has written.
 *
 * mask = k < q + wait; queries are target tokens, keys source tokens.
 *
 * Ma et al., "STACL: Simultaneous Translation with Implicit Anticipation" (arXiv:1810.08398), §3.
 */
export default model("wait-k", { heads: 8, d: 64, keys: "keys", wait: 3 }, ({ wait, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: ({ q, k }) => k < q + wait });
  return { o };
});
