import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Sandwich: a bias by distance as the product of two sinusoidal encodings would give it, wider in some heads.
 *
 * score = s + heads / (8 (h + 1)) · Σᵢ cos((q - k) · 10000^(-2i / width)), i from 0 to width / 2 - 1; causal.
 *
 * Chi et al., "Dissecting Transformer Length Extrapolation via the Lens of Receptive Field Analysis" (arXiv:2212.10356),
 * §5.
 */
export default model("sandwich", { heads: 8, d: 64, keys: "seq", width: 128 }, ({ width, ...sizes }) => {
  const { heads } = sizes;
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: causal,
    score: (s, { h, q, k }) => {
      let sum = 0;
      for (let i = 0; i < width / 2; i++) sum += Math.cos((q - k) * 10000 ** ((-2 * i) / width));
      return s + (heads / (8 * (h + 1))) * sum;
    },
  });
  return { o };
});
