// type 6:20 einsum: operand 1 has more axes than 'b q' names
// build QKV110 6:13 einsum: operand 1 has 3 axes, the spec "b q, q d -> b d" names 2 | x: f32[batch, seq, 64]    x: f32[batch, seq, 64]
import { einsum, input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["batch", "seq", 64]);
  const y = einsum("b q, q d -> b d", x, x);
  return { y };
});
