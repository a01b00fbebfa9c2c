// build QKV152 3:15 calls are nested more than 250 deep | a function that calls itself must stop by what is known when the model is built, not by the indices
import { attention, input, model } from "qkv";
const depth = (n: number): number => (n <= 0 ? 0 : 1 + depth(n - 3));
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q, k }) => s + depth(q - k),
    }),
  };
});
