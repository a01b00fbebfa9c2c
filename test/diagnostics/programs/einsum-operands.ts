// type 6:20 einsum: the spec has more operands than were given
// build QKV122 6:13 einsum: "b s d, d e -> b s e" has 2 operands; 1 were given
import { einsum, input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["batch", "seq", 64]);
  const y = einsum("b s d, d e -> b s e", x);
  return { y };
});
