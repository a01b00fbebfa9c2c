// build QKV145 9:9 seen lies outside of the function; a formula cannot change it | a mask or score only answers a value: declare what it needs within it
import { attention, input, model } from "qkv";
let seen = 0;
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: ({ q, k }) => {
        seen += 1;
        return k <= q;
      },
    }),
  };
});
