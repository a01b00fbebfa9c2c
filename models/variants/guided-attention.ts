import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Guided attention as a bias: what is said at one point of the output lies near the same point of the input.
 *
 * score = s - (k / K - q / Q)² / (2 g²): the logarithm of 1 - W of the guided attention loss, for Q decoder steps and K
 * encoder positions.
 *
 * Tachibana et al., "Efficiently Trainable Text-to-Speech System" (arXiv:1710.08969), §4.
 */
export default model("guided-attention", { heads: 8, d: 64, keys: "keys", g: 0.2 }, ({ g, ...sizes }) => {
  const { q: queries, k: keys, v } = queriesKeysValues(sizes);
  const o = attention(queries, keys, v, {
    score: (s, { q, k }) => {
      const apart = k / Number(keys.dim(2)) - q / Number(queries.dim(2));
      return s - apart ** 2 / (2 * g ** 2);
    },
  });
  return { o };
});
