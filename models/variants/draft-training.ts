import { attention, input, model } from "qkv";

/**
 * Training of a draft head: blocks of sampled tokens see the verified prefix, and causally their own block.
 *
 * mask = k < prefix, or ⌊q / block⌋ = ⌊(k - prefix) / block⌋ and k - prefix <= q. q holds the blocks, k and v the prefix
 * and then the blocks.
 *
 * Hao AI Lab, "JetSpec" (arXiv:2606.18394).
 */
const defaults = { heads: 8, d: 64, prefix: 1024, block: 16 };

export default model("draft-training", defaults, ({ heads, d, prefix, block }) => {
  const q = input("q", "f32", ["batch", heads, "seq", d]);
  const k = input("k", "f32", ["batch", heads, `seq + ${prefix}`, d]);
  const v = input("v", "f32", ["batch", heads, `seq + ${prefix}`, d]);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => {
      const at = k - prefix;
      return at < 0 || (Math.floor(q / block) === Math.floor(at / block) && at <= q);
    },
  });
  return { o };
});
