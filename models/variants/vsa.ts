import {
  attention,
  broadcastTo,
  einsum,
  expandDims,
  gather,
  input,
  iota,
  less,
  model,
  pad,
  rearrange,
  reshape,
  size,
  slice,
  softmax,
  sum,
  type Tensor,
  topK,
} from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Video sparse attention: means of tiles attend to each other, and a tile sees the tiles its mean gave most weight, token by token.
 *
 * o = coarse_gate · C + fine_gate · softmax(scale · q K_Iᵀ) V_I, C = softmax(scale · q̄ K̄ᵀ) V̄ with bars for means over tiles of `tile`
 * tokens, I = the `top` tiles of largest weight in the row of the query's tile.
 *
 * The gates are made from the hidden states as queries are. Tiles are cubes of a video laid out one after the other; the last may
 * be short.
 *
 * Zhang et al., "VSA: Faster Video Diffusion with Trainable Sparse Attention" (arXiv:2505.13389), §2.
 */
const defaults = { heads: 8, d: 64, tile: 64, top: 8 };

export default model("vsa", defaults, ({ heads, d, tile, top }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const [coarseGate, fineGate] = ["coarse_gate", "fine_gate"].map((name) =>
    input(name, "f32", ["batch", heads, "seq", d]),
  );
  const tiles = `ceil(seq/${tile})`;
  const length = `${tile}*${tiles}`;
  const inTiles = (x: Tensor) =>
    reshape(pad(x, { axis: 2, high: `${length} - seq` }), [`${heads}*batch`, tiles, tile, d]);
  const flat = (x: Tensor) => slice(reshape(x, ["batch", heads, length, d]), { axis: 2, end: "seq" });
  const [queries, keys, values] = [inTiles(q), inTiles(k), inTiles(v)];

  const real = less(reshape(iota(length), [tiles, tile]), size("seq"));
  const counts = sum(real.cast("f32"), { axes: 1, keepDims: true });
  const [query, key, value] = [queries, keys, values].map((x) => sum(x, { axes: 2 }).div(counts));
  const weights = softmax(einsum("n i d, n j d -> n i j", query!, key!).mul(d ** -0.5));
  const coarse = einsum("n i j, n j d -> n i d", weights, value!);

  const [, chosen] = topK(weights, `min(${top}, ${tiles})`);
  const seen = (x: Tensor) => rearrange(gather(x, chosen, { axis: 1, batch: 1 }), "n i c t d -> n i (c t) d");
  const mask = rearrange(gather(real, chosen), "n i c t -> n i 1 (c t)");
  const fine = attention(queries, seen(keys), seen(values), { mask });
  const spread = broadcastTo(expandDims(coarse, 2), queries.shape);
  return { o: flat(spread).mul(coarseGate!).add(flat(fine).mul(fineGate!)) };
});
