// type 8:7 Type '({ q, k }: ScoreIndex) => number' is not assignable to type 'Tensor<Shape, "f64" | "f32" | "f16" | "bf16" | "i64" | "i32" | "i8" | "u8" | "bool"> | MaskFunction | ReadingFunction | undefined'.
// build QKV146 8:27 the mask answers a number, not true or false | write a condition: true is where a query may see a key; numbers added to scores are a score function
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => q - k,
    }),
  };
});
