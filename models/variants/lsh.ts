import {
  and,
  argMax,
  argSort,
  concat,
  einsum,
  equal,
  exp,
  expandDims,
  gather,
  input,
  l2Normalise,
  lessEqual,
  logSumExp,
  maximum,
  model,
  neg,
  pad,
  param,
  reshape,
  slice,
  softmax,
  stack,
  sum,
  type Tensor,
  takeAlong,
  where,
} from "qkv";

/**
 * LSH attention: tokens are hashed, sorted by bucket and cut into chunks; each sees its bucket within its chunk and the one before.
 *
 * hash(x) = argmax of [xR; -xR], R random; o(q) = Σ over rounds r of exp(z_r - z) · o_r(q), z_r the log of the sum of what round r
 * saw, z that of all of them.
 *
 * Queries are the keys (keys have length 1), so a token sees itself only where it sees nothing else: its score is -10⁵. A key met
 * in n rounds counts 1/n in each: ln n is taken off its score. Tokens are sorted by bucket, then position. `rotations` R is a
 * parameter: random, and drawn from the seed like all parameters without weights.
 *
 * Kitaev et al., "Reformer: The Efficient Transformer" (arXiv:2001.04451), §2 and equations 2 to 6.
 */
const defaults = { heads: 8, d: 64, buckets: 64, chunk: 64, rounds: 2, causal: false };

export default model("lsh", defaults, ({ heads, d, buckets, chunk, rounds, causal }) => {
  const qk = input("qk", "f32", ["batch", heads, "seq", d]);
  const v = input("v", "f32", ["batch", heads, "seq", d]);
  const rotations = param("rotations", [heads, d, rounds, buckets / 2]);
  const chunks = `ceil(seq/${chunk})`;
  const filled = `${chunk}*${chunks} - seq`;

  const turned = einsum("b h s d, h d r m -> b h r s m", qk, rotations);
  const hash = argMax(concat([turned, neg(turned)], -1));
  // What fills the last chunk has a bucket of its own, behind all others.
  const bucket = pad(hash, { axis: 3, high: filled, value: buckets });
  const order = argSort(bucket);

  const inChunks = (x: Tensor) => reshape(x, ["batch", heads, rounds, chunks, chunk, ...x.shape.slice(4)]);
  const withPrevious = (x: Tensor, outside = 0) => {
    const before = slice(pad(x, { axis: 3, low: 1, value: outside }), { axis: 3, end: -1 });
    return concat([before, x], 4);
  };
  const sorted = (x: Tensor) => inChunks(gather(pad(x, { axis: 2, high: filled }), order, { axis: 2, batch: 2 }));
  const [queries, keys, values] = [sorted(qk), withPrevious(sorted(l2Normalise(qk))), withPrevious(sorted(v))];

  const pairs = (x: Tensor, meet: (query: Tensor, key: Tensor) => Tensor, outside = 0) =>
    meet(expandDims(x, 5), expandDims(withPrevious(x, outside), 4));
  const sameBucket = pairs(inChunks(takeAlong(bucket, order)), equal, -1);
  const position = inChunks(order);
  const seen = causal
    ? and(
        sameBucket,
        pairs(position, (query, key) => lessEqual(key, query)),
      )
    : sameBucket;

  const raw = einsum("b h r c q d, b h r c k d -> b h r c q k", queries, keys).mul(1 / Math.sqrt(d));
  const scores = rounds === 1 ? raw : raw.sub(meetings().log());
  const masked = where(seen, where(pairs(position, equal, -1), -1e5, scores), Number.NEGATIVE_INFINITY);
  const total = logSumExp(masked, { axes: -1, keepDims: true });
  const found = einsum("b h r c q k, b h r c k d -> b h r c q d", exp(masked.sub(total)), values);

  const unsorted = (x: Tensor, width: number) =>
    gather(reshape(x, [...order.shape, width]), argSort(order), { axis: 3, batch: 3 });
  const each = unsorted(found, d);
  const o = rounds === 1 ? each : each.mul(softmax(unsorted(total, 1), { axis: 2 }));
  return { o: slice(sum(o, { axes: 2 }), { axis: 2, end: "seq" }) };

  /** In how many rounds two tokens are in one bucket. */
  function meetings(): Tensor {
    const all = Array.from({ length: rounds }, (_, r) => slice(bucket, { axis: 2, start: r, end: r + 1 }));
    const met = all.map((one) => {
      const ofRound = inChunks(gather(reshape(one, ["batch", heads, one.dim(3)]), order, { axis: 2, batch: 2 }));
      return pairs(ofRound, equal).cast("f32");
    });
    return maximum(sum(stack(met), { axes: 0 }), 1);
  }
});
