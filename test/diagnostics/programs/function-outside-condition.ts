// build QKV148 8:50 at q = 4, k = 0 the index is 4, outside of bias, which has 4 there | keep it within by a condition around it, clamp it (Math.min(Math.max(i, 0), length - 1)), or say what counts outside: table[i] ?? 0
import { attention, input, model } from "qkv";
const bias = [0.5, 0.25, 0.125, 0];
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", [2, 2, 33, 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q, k }) => (k <= q ? s + bias[q - k]! : s),
    }),
  };
});
