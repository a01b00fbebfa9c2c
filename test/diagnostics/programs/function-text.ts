// type 8:27 Operator '<' cannot be applied to types 'string' and 'number'.
// build QKV151 8:27 "causal" is a text, not a number | a formula computes with numbers; texts can only be compared with texts known when the model is built
import { attention, input, model } from "qkv";
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => "causal" < q - k,
    }),
  };
});
