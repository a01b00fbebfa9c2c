// build QKV143 7:35 4n is a BigInt; a formula computes with numbers | write 4
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => q - k < 4n,
    }),
  };
});
