// build QKV142 9:9 while has no formula | write for (let i = 0; i < n; i++) with an n that is known when the model is built: it is unrolled
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => {
        let n = 1;
        while (n < size) n *= 2;
        return q - k < n;
      },
    }),
  };
});
