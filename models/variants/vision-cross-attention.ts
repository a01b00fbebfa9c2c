import { attention, input, model } from "qkv";

/**
 * Vision cross-attention: text sees the images that belong to it. Text that belongs to none gets zeros.
 *
 * mask = from[i] <= q < to[i] with i = ⌊k / perImage⌋: image i is `perImage` keys, seen by the text from[i] … to[i] - 1.
 *
 * Alayrac et al., "Flamingo" (arXiv:2204.14198), §2.3.
 */
const defaults = { heads: 8, d: 64, perImage: 64, from: [0, 512, 1024, 2048], to: [512, 1024, 2048, 4096] };

export default model("vision-cross-attention", defaults, ({ heads, d, perImage, from, to }) => {
  const q = input("q", "f32", ["batch", heads, "seq", d]);
  const k = input("k", "f32", ["batch", heads, from.length * perImage, d]);
  const v = input("v", "f32", ["batch", heads, from.length * perImage, d]);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => {
      const image = Math.floor(k / perImage);
      return from[image]! <= q && q < to[image]!;
    },
  });
  return { o };
});
