// build QKV144 7:37 Math.random is a function of the runtime that has no formula | what is random is a table: draw it outside of the function, and index it within
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => k <= q && Math.random() < 0.9,
    }),
  };
});
