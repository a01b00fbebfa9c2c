import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Axial attention: pixels of a canvas in reading order, each seeing its row and its column.
 *
 * mask = q mod width = k mod width or ⌊q / width⌋ = ⌊k / width⌋.
 *
 * Ho et al., "Axial Attention in Multidimensional Transformers" (arXiv:1912.12180); both axes at once as in Huang et al.,
 * "CCNet" (arXiv:1811.11721).
 */
export default model("axial", { heads: 8, d: 64, width: 64 }, ({ width, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => q % width === k % width || Math.floor(q / width) === Math.floor(k / width),
  });
  return { o };
});
