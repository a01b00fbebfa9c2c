// type 8:7 Type '(s: number, { q, k }: ScoreIndex) => boolean' is not assignable to type 'ScoreFunction'.
// build QKV146 8:31 the score answers true or false, not a number | answer the score as a number; what may be seen is a mask
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      score: (s, { q, k }) => k <= q,
    }),
  };
});
