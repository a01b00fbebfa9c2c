// type 8:7 Type '({ q, k }: ScoreIndex) => true | undefined' is not assignable to type 'Tensor<Shape, "f64" | "f32" | "f16" | "bf16" | "i64" | "i32" | "i8" | "u8" | "bool"> | MaskFunction | ReadingFunction | undefined'.
// build QKV146 9:9 the function does not return on every path | end it with a return that no condition guards
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => {
        if (k <= q) return true;
      },
    }),
  };
});
