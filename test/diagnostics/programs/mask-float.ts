// build QKV111 6:13 attention: the mask is f32, not bool
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 8, "seq", 64]);
  const mask = input("mask", "f32", ["batch", 1, 1, "seq"]);
  const y = attention(q, q, q, { mask });
  return { y };
});
