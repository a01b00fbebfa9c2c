import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { neighbourhood } from "./masks.ts";

/**
 * Tiled neighbourhood attention: as `natten`, the pixels laid out tile by tile so that neighbours lie close together.
 *
 * mask = that of natten, x and y being those of pixel i mod tile size in tile ⌊i / tile size⌋; tiles and the pixels of a
 * tile are in reading order.
 *
 * Hassani et al., "Faster Neighborhood Attention" (arXiv:2403.04690).
 */
const defaults = {
  heads: 8,
  d: 64,
  width: 64,
  height: 64,
  kernelWidth: 13,
  kernelHeight: 13,
  tileWidth: 8,
  tileHeight: 8,
};

export default model("tiled-natten", defaults, ({ heads, d, tileWidth, tileHeight, ...canvas }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const across = canvas.width / tileWidth;
  const place = (i: number) => {
    const tile = Math.floor(i / (tileWidth * tileHeight));
    const within = i % (tileWidth * tileHeight);
    return {
      x: (tile % across) * tileWidth + (within % tileWidth),
      y: Math.floor(tile / across) * tileHeight + Math.floor(within / tileWidth),
    };
  };
  const o = attention(q, k, v, { mask: neighbourhood(place, canvas) });
  return { o };
});
