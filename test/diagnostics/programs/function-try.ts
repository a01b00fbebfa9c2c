// build QKV142 8:9 try has no formula | a mask or score answers a value for every index: check what it captures outside of it
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => {
        try {
          return k <= q;
        } catch {
          return false;
        }
      },
    }),
  };
});
