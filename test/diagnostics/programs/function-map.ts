// build QKV144 8:27 ends.get has no formula | what a map holds, put into an array outside of the function: it becomes a table
import { attention, input, model } from "qkv";
const ends = new Map([[0, 4]]);
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => ends.get(q)! > k,
    }),
  };
});
