// type 7:28 matmul: inner dimensions differ: x ends in 64, y has seq rows
// build QKV107 7:18 matmul: inner dimensions differ: 64 and seq | q: f32[batch, 12, seq, 64]    k: f32[batch, 12, seq, 64] | matmul(q, transpose(k))
import { input, matmul, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 12, "seq", 64]);
  const k = input("k", "f32", ["batch", 12, "seq", 64]);
  const scores = matmul(q, k);
  return { scores };
});
