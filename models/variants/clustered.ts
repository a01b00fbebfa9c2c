import {
  argMax,
  attention,
  blockAttention,
  constant,
  div,
  einsum,
  equal,
  expandDims,
  gather,
  greaterEqual,
  iota,
  less,
  maximum,
  model,
  oneHot,
  pad,
  param,
  reshape,
  sign,
  size,
  softmax,
  sum,
  type Tensor,
  topK,
  where,
} from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Clustered attention: queries are clustered by k-means over hashes, and each cluster attends once, as the mean of its queries.
 *
 * o(q) = A_c V, A_c = softmax(scale · q̄_c Kᵀ) with q̄_c the mean of the queries of cluster c, that of q; with `top` > 0 the keys T of
 * most weight in A_c are seen by q itself: o(q) = m · softmax(scale · q K_Tᵀ) V_T + A_c V over the other keys, m = Σ A_c over T.
 *
 * Hashes are the signs of `bits` products with random planes, a parameter. Lloyd's algorithm in Hamming distance starts from tokens
 * evenly spaced and ends after `iterations`; the first of equally near clusters takes a query, a bit in doubt stays, and so does
 * an empty cluster. The cost is seq · (clusters · iterations · bits + clusters · d + top · d).
 *
 * Vyas et al., "Fast Transformers with Clustered Attention" (arXiv:2007.04825), §3.1 to §3.3 and equations 4 to 11.
 */
const defaults = { heads: 8, d: 64, clusters: 64, bits: 32, iterations: 4, top: 32 };

export default model("clustered", defaults, ({ heads, d, clusters, bits, iterations, top }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const products = einsum("b h s d, h d n -> b h s n", q, param("planes", [heads, d, bits]));
  const hashes = where(less(products, 0), -1, constant(1));
  const spaced = div(iota(clusters).mul(size("seq")), clusters);
  const nearest = (centres: Tensor) => argMax(einsum("b h s n, b h c n -> b h s c", hashes, centres));
  let centres = gather(hashes, spaced, 2);
  let cluster = nearest(centres);
  for (let i = 0; i < iterations; i++) {
    const votes = einsum("b h s c, b h s n -> b h c n", oneHot(cluster, clusters), hashes);
    centres = where(equal(votes, 0), centres, sign(votes));
    cluster = nearest(centres);
  }

  const members = oneHot(cluster, clusters);
  const counts = maximum(sum(members, { axes: 2 }), 1);
  const means = einsum("b h s c, b h s d -> b h c d", members, q).div(expandDims(counts, 3));
  const ofQuery = (x: Tensor) => gather(x, cluster, { axis: 2, batch: 2 });
  if (top === 0) return { o: ofQuery(attention(means, k, v)) };

  const weights = softmax(einsum("b h c d, b h s d -> b h c s", means, k).mul(d ** -0.5));
  // A short sequence has fewer keys than are taken: the rest is masked.
  const [most, places] = topK(pad(weights, { axis: 3, high: `max(seq, ${top}) - seq`, value: -1 }), top);
  const real = greaterEqual(most, 0);
  const [shares, chosen] = [where(real, most, 0), where(real, places, 0)];
  const taken = (x: Tensor) => gather(x, chosen, { axis: 2, batch: 2 });
  const [keys, values] = [taken(k), taken(v)];
  const others = einsum("b h c s, b h s d -> b h c d", weights, v).sub(
    einsum("b h c n, b h c n d -> b h c d", shares, values),
  );
  const inRow = (x: Tensor) => reshape(x, ["batch", heads, clusters * top, ...x.shape.slice(4)]);
  const own = blockAttention(q, inRow(keys), inRow(values), expandDims(cluster, 3), {
    block: top,
    keyMask: inRow(real),
  });
  return { o: own.mul(ofQuery(sum(shares, { axes: 3, keepDims: true }))).add(ofQuery(others)) };
});
