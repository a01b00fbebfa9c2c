// type 12:7 Type '(b: any, h: any, q: any, k: any) => boolean' is not assignable to type 'Tensor<Shape, "f64" | "f32" | "f16" | "bf16" | "i64" | "i32" | "i8" | "u8" | "bool"> | MaskFunction | ReadingFunction | undefined'.
// type 12:14 Parameter 'b' implicitly has an 'any' type.
// type 12:17 Parameter 'h' implicitly has an 'any' type.
// type 12:20 Parameter 'q' implicitly has an 'any' type.
// type 12:23 Parameter 'k' implicitly has an 'any' type.
// build QKV153 12:17 the mask has a parameter that it is not given: h | it is called with ({ b, h, q, k }): the indices come as one object
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: (b, h, q, k) => k <= q,
    }),
  };
});
