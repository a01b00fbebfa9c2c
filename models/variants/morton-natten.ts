import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { neighbourhood } from "./masks.ts";

/**
 * Neighbourhood attention in Z-order: as `natten` on a square canvas, the bits of x and y interleaved to the index.
 *
 * mask = that of natten, x being the even bits of i and y the odd ones; `side` is a power of two.
 *
 * Morton, "A Computer Oriented Geodetic Data Base", IBM (1966); Hassani et al. (arXiv:2204.07143).
 */
export default model("morton-natten", { heads: 8, d: 64, side: 64, kernel: 13 }, ({ heads, d, side, kernel }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const bits = Math.log2(side);
  const everySecond = (i: number) => {
    let out = 0;
    for (let bit = 0; bit < bits; bit++) out |= ((i >> (2 * bit)) & 1) << bit;
    return out;
  };
  const place = (i: number) => ({ x: everySecond(i), y: everySecond(i >> 1) });
  const canvas = { width: side, height: side, kernelWidth: kernel, kernelHeight: kernel };
  const o = attention(q, k, v, { mask: neighbourhood(place, canvas) });
  return { o };
});
