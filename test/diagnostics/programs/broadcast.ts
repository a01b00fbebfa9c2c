// type 7:19 add: shapes do not broadcast: 64 in the first operand meets 32 in the second
// build QKV107 7:15 add: shapes do not broadcast: 64 meets 32 at axis -1 | a: f32[n, 64]    b: f32[n, 32]
import { input, model } from "qkv";
export default model("wrong", () => {
  const a = input("a", "f32", ["n", 64]);
  const b = input("b", "f32", ["n", 32]);
  const c = a.add(b);
  return { c };
});
