import { attention, input, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Video sparse attention by lists: every tile of queries sees the tiles of keys listed for it.
 *
 * mask = ⌊k / tile⌋ is one of chosen[b, h, ⌊q / tile⌋], `top` tiles given at run time.
 *
 * Zhang et al., "VSA: Faster Video Diffusion with Trainable Sparse Attention" (arXiv:2505.13389), §2.
 */
export default model("vsa-top-k", { heads: 8, d: 64, tile: 64, top: 8 }, ({ heads, d, tile, top }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const tiles = `ceil(seq / ${tile})`;
  const chosen = input("chosen", "i64", ["batch", heads, tiles, top]);
  const places = Array.from({ length: top }, (_, i) => i);
  const o = attention(q, k, v, {
    mask: ({ b, h, q, k }) => places.some((i) => chosen[b]![h]![Math.floor(q / tile)]![i] === Math.floor(k / tile)),
  });
  return { o };
});
