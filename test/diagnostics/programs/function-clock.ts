// build QKV144 7:32 Date.now is a function of the runtime that has no formula | a formula has Math, comparisons and tables: call this outside of the function, into a const
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q }) => s + Date.now() * q,
    }),
  };
});
