// build QKV108 7:13 attention: 3 key heads do not divide 8 query heads
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 8, "seq", 64]);
  const k = input("k", "f32", ["batch", 3, "seq", 64]);

  const y = attention(q, k, k);
  return { y };
});
