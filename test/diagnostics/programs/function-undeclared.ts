// build QKV141 7:38 slopes is not declared where the function can see it | a mask or score sees its own arguments and what stands around it: declare slopes there with const
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { h, q, k }) => s + slopes[h] * (k - q),
    }),
  };
});
