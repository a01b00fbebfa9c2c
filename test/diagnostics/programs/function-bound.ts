// build QKV140 9:13 the mask is a bound function, which has no source | write an arrow function that calls it: (at) => fn(at)
import { attention, input, model } from "qkv";
const within = (size: number, { q, k }: { q: number; k: number }) => q - k < size;
const near = within.bind(undefined, 4);
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: near,
    }),
  };
});
