// build QKV108 5:13 rearrange: 5 does not divide 64, axis 2 of x | x: f32[b, s, 64]
import { input, model, rearrange } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["b", "s", 64]);
  const y = rearrange(x, "b s (h d) -> b h s d", { h: 5 });
  return { y };
});
