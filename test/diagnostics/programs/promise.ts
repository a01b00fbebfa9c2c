// build QKV116 3:16 the body of "wrong" answers a promise
import { input, model } from "qkv";
export default model("wrong", async () => {
  return { y: input("x", "f32", ["n", 8]) };
});
