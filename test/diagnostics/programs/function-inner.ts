// build QKV146 7:24 the mask answers a function, not true or false | call it with the indices, as in inner(at), or give the function itself
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ((size: number) => ({ q, k }: { q: number; k: number }) => q - k < size) as never,
    }),
  };
});
