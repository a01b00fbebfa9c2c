import { attention, input, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Video sparse attention by a map: a bool for every tile of queries and every tile of keys.
 *
 * mask = map[b, h, ⌊q / tile⌋, ⌊k / tile⌋], given at run time.
 *
 * Zhang et al., "VSA: Faster Video Diffusion with Trainable Sparse Attention" (arXiv:2505.13389), §2.
 */
export default model("vsa-block-map", { heads: 8, d: 64, tile: 64 }, ({ heads, d, tile }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const tiles = `ceil(seq / ${tile})`;
  const map = input("map", "bool", ["batch", heads, tiles, tiles]);
  const o = attention(q, k, v, {
    mask: ({ b, h, q, k }) => !!map[b]![h]![Math.floor(q / tile)]![Math.floor(k / tile)],
  });
  return { o };
});
