// type 6:39 Object literal may only specify known properties, but 'biass' does not exist in type 'LinearOptions'. Did you mean to write 'bias'?
// build QKV120 6:13 linear has no option "biass"
import { input, linear, model } from "qkv";
export default model("wrong", () => {
  const x = input("x", "f32", ["n", 8]);
  const y = linear(x, 8, { name: "a", biass: false });
  return { y };
});
