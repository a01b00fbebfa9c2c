// build QKV101 4:13 dimension 2 of input "x" is -8; it must be a positive integer
import { input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["n", -8]);
  return { x };
});
