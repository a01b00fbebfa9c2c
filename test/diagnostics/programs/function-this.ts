// build QKV143 6:20 this is not seen by a formula | write an arrow function that reads the object by its name, as in ({ q, k }) => … object.window …
import { attention, input, model } from "qkv";
const local = {
  window: 4,
  mask({ q, k }: { q: number; k: number }) {
    return q - k < this.window;
  },
};
export default model("wrong", { size: 4 }, ({ size }) => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return {
    y: attention(q, q, q, {
      mask: local.mask,
    }),
  };
});
