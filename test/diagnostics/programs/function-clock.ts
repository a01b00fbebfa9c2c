// build QKV144 7:27 performance.now is a function of the runtime that has no formula | a formula has Math, comparisons and tables: call this outside of the function, into a const
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => performance.now() > 0 && k <= q,
    }),
  };
});
