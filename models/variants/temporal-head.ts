import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Temporal heads of Sparse VideoGen: tokens see those that stand near the same place of any frame, and the prompt.
 *
 * mask = q < prompt or k < prompt or |(q - prompt) mod perFrame - (k - prompt) mod perFrame| < ⌊width · perFrame / frames⌋.
 *
 * Xi et al., "Sparse VideoGen" (arXiv:2502.01776), §4.
 */
const defaults = { heads: 8, d: 64, prompt: 64, frames: 16, perFrame: 252, width: 2 };

export default model("temporal-head", defaults, ({ heads, d, prompt, frames, perFrame, width }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const near = Math.floor((width * perFrame) / frames);
  const place = (i: number) => (i - prompt) % perFrame;
  const o = attention(q, k, v, {
    mask: ({ q, k }) => q < prompt || k < prompt || Math.abs(place(q) - place(k)) < near,
  });
  return { o };
});
