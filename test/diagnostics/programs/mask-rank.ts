// build QKV111 6:13 attention: the mask [batch, seq] does not stretch to [batch, 8, seq, seq] | expandDims(mask, 1, 2)
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 8, "seq", 64]);
  const mask = input("mask", "bool", ["batch", "seq"]);
  const y = attention(q, q, q, { mask });
  return { y };
});
