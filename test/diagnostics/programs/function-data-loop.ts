// build QKV147 10:25 how often this loop turns depends on the indices or on the data | loop to the largest count known when the model is built, and choose within: sum += i < n ? x : 0
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  const depth = input("depth", "i64", ["batch", "seq"]);
  return {
    y: attention(q, q, q, {
      mask: ({ b, q, k }) => {
        let reach = 1;
        for (let i = 0; i < (depth[b]![q] as number); i++) reach += i;
        return q - k < reach;
      },
    }),
  };
});
