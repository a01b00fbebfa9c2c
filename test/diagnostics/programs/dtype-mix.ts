// type 7:23 add: element types differ: f16 and f32; cast one of them
// build QKV109 7:13 add: element types differ: f16 and f32 | half: f16[n]    full: f32[n]
import { add, input, model } from "qkv";
export default model("wrong", () => {
  const half = input("half", "f16", ["n"]);
  const full = input("full", "f32", ["n"]);
  const y = add(half, full);
  return { y };
});
