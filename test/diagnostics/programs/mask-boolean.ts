// build QKV140 7:13 mask is true, not a function | write ({ q, k }) => …, or give a bool tensor; without a mask every key is seen
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, (settings) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: true as never,
    }),
  };
});
