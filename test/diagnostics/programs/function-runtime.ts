// build QKV140 7:13 the mask is a function of the runtime, which has no source | write one of your own: ({ q, k }) => …
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, (settings) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: JSON.parse,
    }),
  };
});
