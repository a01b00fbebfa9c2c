import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Dilated attention of LongNet: within each segment every `dilation`-th token, a different choice in each head.
 *
 * mask = ⌊q / segment⌋ = ⌊k / segment⌋, and q and k are h modulo `dilation`. Queries a head has not chosen get zeros.
 *
 * Ding et al., "LongNet: Scaling Transformers to 1,000,000,000 Tokens" (arXiv:2307.02486), §3.1 and §3.2.
 */
const defaults = { heads: 8, d: 64, keys: "seq", segment: 512, dilation: 4 };

export default model("dilated", defaults, ({ segment, dilation, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: ({ h, q, k }) => {
      const chosen = (i: number) => i % dilation === h % dilation;
      return Math.floor(q / segment) === Math.floor(k / segment) && chosen(q) && chosen(k);
    },
  });
  return { o };
});
