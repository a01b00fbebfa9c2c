// type 6:22 heads: 10 heads do not divide 512 features
// build QKV108 6:13 heads: 10 heads do not divide 512 features | x: f32[batch, seq, 512]
import { heads, input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["batch", "seq", 512]);
  const q = heads(x, 10);
  return { q };
});
