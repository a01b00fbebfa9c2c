// build QKV115 5:15 the body of "wrong" threw ReferenceError: sofmax is not defined
import { input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["n", 8]);
  return { y: sofmax(x) };
});
