// build QKV113 3:16 the body of "wrong" answers nothing
import { input, model } from "qkv";
export default model("wrong", () => {
  input("x", "f32", ["n", 8]);
});
