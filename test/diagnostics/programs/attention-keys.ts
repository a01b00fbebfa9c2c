// type 8:29 attention: k has keys positions but v has values
// build QKV107 8:13 attention: k has keys positions but v has values
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 12, "seq", 64]);
  const k = input("k", "f32", ["batch", 12, "keys", 64]);
  const v = input("v", "f32", ["batch", 12, "values", 64]);
  const y = attention(q, k, v);
  return { y };
});
