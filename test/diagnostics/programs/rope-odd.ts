// build QKV112 5:13 rope: the width 63 is odd | q: f32[batch, 8, seq, 63]
import { input, model, rope } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 8, "seq", 63]);
  const y = rope(q);
  return { y };
});
