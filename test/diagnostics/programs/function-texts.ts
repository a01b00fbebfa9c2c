// build QKV143 7:55 the indices choose between "yes" and "" | answer true or false both ways in a mask, numbers in a score
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, (settings) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: (({ q, k }: { q: number; k: number }) => (k <= q ? "yes" : "")) as never,
    }),
  };
});
