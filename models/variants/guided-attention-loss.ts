import { einsum, exp, iota, mean, model, reshape, size, softmax } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Guided attention loss: attention, and beside it a number that is large where weights lie far from the diagonal.
 *
 * loss = mean(A ⊙ W) with W = 1 - exp(-(k / K - q / Q)² / (2 g²)), for Q decoder steps and K encoder positions.
 *
 * Tachibana et al., "Efficiently Trainable Text-to-Speech System" (arXiv:1710.08969), §4.
 */
export default model("guided-attention-loss", { heads: 8, d: 64, keys: "keys", g: 0.2 }, ({ g, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const scores = einsum("b h q d, b h k d -> b h q k", q, k).mul(1 / Math.sqrt(sizes.d));
  const weights = softmax(scores);
  const o = einsum("b h q k, b h k d -> b h q d", weights, v);

  const [queries, keys] = [q.dim(2), k.dim(2)];
  const at = iota(queries, "f32").div(size(queries).cast("f32"));
  const wanted = iota(keys, "f32").div(size(keys).cast("f32"));
  const apart = wanted.sub(reshape(at, [queries, 1]));
  const penalty = exp(apart.mul(apart).mul(-1 / (2 * g ** 2)))
    .mul(-1)
    .add(1);
  const loss = mean(weights.mul(penalty), { axes: [0, 1, 2, 3] });
  return { o, loss };
});
