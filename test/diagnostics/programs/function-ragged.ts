// build QKV149 8:35 the rows of rows are not equally long | pad them to one length: a table is a block of numbers
import { attention, input, model } from "qkv";
const rows = [[1, 2], [3]];
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q, k }) => s + rows[q % 2]![k % 2]!,
    }),
  };
});
