// build QKV151 8:35 width is undefined, not a number | width is declared, but has no value yet when the model is built: give it one before
import { attention, input, model } from "qkv";
let width: number;
export default model("wrong", { size: 4 }, (settings) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => q - k < width,
    }),
  };
});
