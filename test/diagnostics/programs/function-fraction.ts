// build QKV149 8:37 an index of bias need not be an integer | write Math.floor(…) around it: division of integers gives fractions in JavaScript
import { attention, input, model } from "qkv";
const bias = new Float32Array(64);
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q }) => s + bias[q / 2]!,
    }),
  };
});
