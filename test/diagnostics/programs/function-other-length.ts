// build QKV151 8:40 documents.dim(1) is the length documents, none of this attention's own | lengths are read from what attention is given: q.dim(2), k.dim(2)
import { attention, input, model } from "qkv";
export default model("wrong", () => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  const documents = input("documents", "i64", ["batch", "documents"]);
  return {
    y: attention(q, q, q, {
      score: (s, { k }) => (k < Number(documents.dim(1)) ? s : s - 1),
    }),
  };
});
