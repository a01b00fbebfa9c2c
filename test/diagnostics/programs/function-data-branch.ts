// build QKV149 9:13 causal is a tensor; a formula reads its elements | index it: causal[0]
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  const causal = input("causal", "bool", [1]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => {
        if (causal) return k <= q;
        return true;
      },
    }),
  };
});
