// build QKV110 5:13 linear: the last axis of x is seq, not an integer | x: f32[batch, seq]
import { input, linear, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["batch", "seq"]);
  const y = linear(x, 8, { name: "a" });
  return { y };
});
