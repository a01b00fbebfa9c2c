// build QKV151 8:64 offset is NaN, not a number | a length that is not known when the model is built is read within the function: q.dim(2), k.dim(2)
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 2, "queries", 8]);
  const keys = input("keys", "f32", ["batch", 2, "keys", 8]);
  const offset = Number(keys.dim(2)) - Number(q.dim(2));
  return {
    y: attention(q, keys, keys, { mask: ({ q, k }) => k <= q + offset }),
  };
});
