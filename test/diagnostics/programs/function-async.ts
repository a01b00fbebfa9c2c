// type 8:7 Type '({ q, k }: ScoreIndex) => Promise<boolean>' is not assignable to type 'Tensor<Shape, "f64" | "f32" | "f16" | "bf16" | "i64" | "i32" | "i8" | "u8" | "bool"> | MaskFunction | ReadingFunction | undefined'.
// build QKV140 8:13 the mask is async | a mask or score is an ordinary function of numbers
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: async ({ q, k }) => k <= q,
    }),
  };
});
