// type 7:23 add: shapes do not broadcast: queries in the first operand meets keys in the second
// build QKV107 7:13 add: shapes do not broadcast: queries meets keys at axis -2 | left: f32[queries, 8]    right: f32[keys, 8]
import { add, input, model } from "qkv";
export default model("wrong", () => {
  const left = input("left", "f32", ["queries", 8]);
  const right = input("right", "f32", ["keys", 8]);
  const y = add(left, right);
  return { y };
});
