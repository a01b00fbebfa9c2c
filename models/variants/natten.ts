import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { neighbourhood } from "./masks.ts";

/**
 * Neighbourhood attention: pixels of a canvas in reading order, each seeing the kernel around it.
 *
 * mask = |clamp(qx, r, width - 1 - r) - kx| <= r and the same for y, with r = ⌊kernel / 2⌋ of its axis, x = i mod width
 * and y = ⌊i / width⌋.
 *
 * Hassani et al., "Neighborhood Attention Transformer" (arXiv:2204.07143), §3.1.
 */
const defaults = { heads: 8, d: 64, width: 64, height: 64, kernelWidth: 13, kernelHeight: 13 };

export default model("natten", defaults, ({ heads, d, ...canvas }) => {
  const { width } = canvas;
  const { q, k, v } = queriesKeysValues({ heads, d });
  const place = (i: number) => ({ x: i % width, y: Math.floor(i / width) });
  const o = attention(q, k, v, { mask: neighbourhood(place, canvas) });
  return { o };
});
