// type 6:23 embedding: ids are f32; they must be i64 or i32
// build QKV109 6:13 embedding: ids are f32; they must be i64 or i32 | ids: f32[batch, seq]
import { embedding, input, model } from "qkv";
export default model("wrong", () => {
  const ids = input("ids", "f32", ["batch", "seq"]);
  const x = embedding(ids, 100, 64, { name: "tokens" });
  return { x };
});
