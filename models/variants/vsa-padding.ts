import { attention, input, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Padding of video sparse attention: tiles at the edge of a video hold fewer tokens than there is room for.
 *
 * mask = k mod tile < sizes[⌊k / tile⌋], given at run time.
 *
 * Zhang et al., "VSA: Faster Video Diffusion with Trainable Sparse Attention" (arXiv:2505.13389), §2.
 */
export default model("vsa-padding", { heads: 8, d: 64, tile: 64 }, ({ heads, d, tile }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const sizes = input("sizes", "i64", [`ceil(seq / ${tile})`]);
  const o = attention(q, k, v, {
    mask: ({ k }) => k % tile < sizes[Math.floor(k / tile)]!,
  });
  return { o };
});
