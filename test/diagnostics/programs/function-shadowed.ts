// build QKV143 7:27 `${q}` is about texts, which no formula has | compute it outside of the function, into a const
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => `${q}` < `${k}`,
    }),
  };
});
