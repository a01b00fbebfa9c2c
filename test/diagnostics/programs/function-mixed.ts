// type 8:7 Type '({ q, k }: ScoreIndex) => true | 0' is not assignable to type 'Tensor<Shape, "f64" | "f32" | "f16" | "bf16" | "i64" | "i32" | "i8" | "u8" | "bool"> | MaskFunction | ReadingFunction | undefined'.
// build QKV150 8:28 one path answers true or false, another 0 | answer one kind on every path: numbers, or true and false
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => (k <= q ? true : 0),
    }),
  };
});
