// build QKV107 6:35 matmul: inner dimensions differ: 32 and 64 | y: f32[n, 32]    w: f32[64, 32]
import { input, matmul, model, param, type Tensor } from "qkv";
export default model("wrong", () => {
  const w: Tensor = param("w", [64, 32]);
  let y: Tensor = input("x", "f32", ["n", 64]);
  for (let i = 0; i < 2; i++) y = matmul(y, w);
  return { y };
});
