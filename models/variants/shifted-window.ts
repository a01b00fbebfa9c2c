import { attention, model, param } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { clamp } from "./masks.ts";

/**
 * Shifted windows of Swin: a canvas cut into squares, moved by `shift` and wrapped around, with biases by offset.
 *
 * score = s + bias[(yq - yk + size - 1) · (2 size - 1) + xq - xk + size - 1, h] within a window; pixels that wrapping brought
 * together do not see one another. x and y are those after the shift.
 *
 * Liu et al., "Swin Transformer" (arXiv:2103.14030), §3.2.
 */
const defaults = { heads: 8, d: 64, width: 64, height: 64, size: 8, shift: 4 };

export default model("shifted-window", defaults, ({ heads, d, width, height, size, shift }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const offsets = 2 * size - 1;
  const bias = param("relative_position_bias_table", [offsets * offsets, heads]);
  const x = (i: number) => ((i % width) - shift + width) % width;
  const y = (i: number) => (Math.floor(i / width) - shift + height) % height;
  /** Whether both lie in one window along an axis, and neither or both were wrapped around. */
  const together = (a: number, b: number, length: number) =>
    Math.floor(a / size) === Math.floor(b / size) && a >= length - shift === b >= length - shift;
  const o = attention(q, k, v, {
    mask: ({ q, k }) => together(x(q), x(k), width) && together(y(q), y(k), height),
    score: (s, { h, q, k }) => {
      const across = clamp(x(q) - x(k) + size - 1, 0, offsets - 1);
      const down = clamp(y(q) - y(k) + size - 1, 0, offsets - 1);
      return s + bias[down * offsets + across]![h]!;
    },
  });
  return { o };
});
