import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Spatial heads of Sparse VideoGen: a prompt that all see and that sees all, and a band of `width` frames.
 *
 * mask = q < prompt or k < prompt (with `sink` k < prompt + perFrame) or |q - k| < width · perFrame, rounded down to a
 * multiple of `round`.
 *
 * Xi et al., "Sparse VideoGen" (arXiv:2502.01776), §4.
 */
const defaults = { heads: 8, d: 64, prompt: 64, perFrame: 252, width: 2, sink: false, round: 128 };

export default model("spatial-head", defaults, ({ heads, d, prompt, perFrame, width, sink, round }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const seenByAll = sink ? prompt + perFrame : prompt;
  const band = Math.floor((width * perFrame) / round) * round;
  const o = attention(q, k, v, {
    mask: ({ q, k }) => q < prompt || k < seenByAll || Math.abs(q - k) < band,
  });
  return { o };
});
