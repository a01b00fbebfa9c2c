// build QKV103 5:13 the parameter "fc.weight" is declared twice
import { input, linear, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["n", 8]);
  const y = linear(linear(x, 8, { name: "fc" }), 8, { name: "fc" });
  return { y };
});
