// build QKV148 8:40 at q = 0, k = 1 the index is -1, outside of bias, which has 1024 there | keep it within by a condition around it, clamp it (Math.min(Math.max(i, 0), length - 1)), or say what counts outside: table[i] ?? 0
import { attention, input, model } from "qkv";
const bias = new Float32Array(1024);
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q, k }) => s + bias[q - k]!,
    }),
  };
});
