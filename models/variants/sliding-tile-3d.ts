import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { slidingTiles } from "./masks.ts";

/**
 * Sliding tile attention on a video: tokens laid out tile by tile, a tile seeing the kernel of whole tiles around it.
 *
 * mask = along time, height and width: c - ⌊n / 2⌋ <= tile(k) <= c + ⌈n / 2⌉ - 1, n being kernel / tile and c the tile of q, moved
 * inwards at the edges. `text` tokens behind the canvas see all and are seen by all.
 *
 * Zhang et al., "Fast Video Generation with Sliding Tile Attention" (arXiv:2502.04507), §3.
 */
const defaults = { heads: 8, d: 64, canvas: [16, 16, 16], kernel: [12, 12, 12], tile: [4, 4, 4], text: 0 };

export default model("sliding-tile-3d", defaults, ({ heads, d, ...tiles }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const o = attention(q, k, v, { mask: slidingTiles(tiles) });
  return { o };
});
