import {
  attention,
  broadcastTo,
  constant,
  einsum,
  expandDims,
  gather,
  l2Normalise,
  lessEqual,
  maximum,
  mean,
  model,
  param,
  rearrange,
  reshape,
  scatter,
  type Tensor,
  topK,
} from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Routing attention: tokens are clustered by k-means, and attend within their cluster.
 *
 * o(q) = mean over clusters c that chose q of softmax(scale · q Kcᵀ) Vc; cluster c chooses the `window` queries and the
 * `window` keys whose routing vectors, layer-normalised without gain, are nearest to its centroid.
 *
 * `window` 0 stands for ⌈seq / clusters⌉: with √seq clusters the cost is seq^1.5. A query of several clusters gets the mean of
 * what it saw (`combine` "sum": the sum), one of none gets zero. With `causal`, a query sees the keys of its cluster up to
 * its own position; who is in a cluster still depends on all tokens. Centroids are parameters, learnt as a moving average.
 *
 * Roy et al., "Efficient Content-Based Sparse Attention with Routing Transformers" (arXiv:2003.05997), §4.1, algorithm 1.
 */
const defaults = { heads: 8, d: 64, clusters: 32, window: 0, causal: false, combine: "mean" };

export default model("routing", defaults, ({ heads, d, clusters, window, causal, combine }) => {
  if (combine !== "mean" && combine !== "sum") throw new Error(`combine is "${combine}"; it is "mean" or "sum"`);
  const { q, k, v } = queriesKeysValues({ heads, d });
  const centroids = l2Normalise(param("centroids", [heads, clusters, d]));
  const size = window === 0 ? `ceil(seq/${clusters})` : `min(${window}, seq)`;
  const choose = (x: Tensor) => {
    const centred = x.sub(mean(x, { axes: -1, keepDims: true }));
    const [, members] = topK(einsum("h c d, b h s d -> b h c s", centroids, l2Normalise(centred)), size);
    return members;
  };
  const [queries, keys] = [choose(q), choose(k)];
  const members = (x: Tensor, at: Tensor) => rearrange(gather(x, at, { batch: 2 }), "b h c w d -> (b h) c w d");
  const clustered = (at: Tensor) => rearrange(at, "b h c w -> (b h) c w");
  const before = () => lessEqual(expandDims(clustered(keys), 2), expandDims(clustered(queries), 3));
  const seen = attention(members(q, queries), members(k, keys), members(v, keys), causal ? { mask: before() } : {});

  const zeros = (x: Tensor) => broadcastTo(constant(0), x.shape);
  const back = { batch: 2, reduction: "add" } as const;
  const sums = scatter(zeros(q), queries, reshape(seen, [...queries.shape, d]), back);
  if (combine === "sum") return { o: sums };
  const one = broadcastTo(constant(1), queries.shape);
  const counts = scatter(broadcastTo(constant(0), ["batch", heads, "seq"]), queries, one, back);
  return { o: sums.div(expandDims(maximum(counts, 1), 3)) };
});
