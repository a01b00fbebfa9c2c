// build QKV151 7:57 options.widht is undefined, not a number | did you mean options.width?
import { attention, input, model } from "qkv";
const options: Record<string, number> = { width: 4, depth: 2 };
export default model("wrong", { size: 4 }, () => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, { mask: ({ q, k }) => q - k < options.widht! }),
  };
});
