// type 5:24 Argument of type '"float32"' is not assignable to parameter of type '"f64" | "f32"
// build QKV109 5:13 the element type of input "x" is "float32"
import { input, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "float32", ["n", 8]);
  return { x };
});
