// type 6:13 '+' does not work on tensors
// build QKV119 6:13 a tensor was used as a JavaScript number
import { input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["n"]);
  const y = x + 1;
  return { y };
});
