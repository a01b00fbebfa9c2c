// type 7:26 attention: q is 64 wide but k is 32 wide
// build QKV107 7:13 attention: q is 64 wide but k is 32 wide
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 12, "seq", 64]);
  const k = input("k", "f32", ["batch", 12, "seq", 32]);
  const y = attention(q, k, k);
  return { y };
});
