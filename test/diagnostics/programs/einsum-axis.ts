// type 7:25 einsum: axis 'd' is 64 in operand 1 but 32 in operand 2
// build QKV107 7:18 einsum: axis 'd' is 64 in operand 1 but 32 in operand 2 | q: f32[batch, 12, seq, 64]    k: f32[batch, 12, seq, 32]
import { einsum, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 12, "seq", 64]);
  const k = input("k", "f32", ["batch", 12, "seq", 32]);
  const scores = einsum("b h q d, b h k d -> b h q k", q, k);
  return { scores };
});
