import {
  and,
  argMax,
  argSort,
  concat,
  einsum,
  equal,
  expandDims,
  gather,
  input,
  iota,
  l2Normalise,
  less,
  max,
  model,
  neg,
  not,
  notEqual,
  or,
  pad,
  param,
  reshape,
  roll,
  slice,
  softmax,
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
 * Queries are the keys (keys have length 1), so a token sees itself only where it sees nothing else: such a round counts e^(-10⁵).
 * A key met in n rounds counts 1/n in each. Tokens are sorted by bucket, then position. `rotations` R is a parameter: random, and
 * drawn from the seed like all parameters without weights.
 *
 * Kitaev et al., "Reformer: The Efficient Transformer" (arXiv:2001.04451), §2 and equations 2 to 6.
 */
const defaults = { heads: 8, d: 64, buckets: 64, chunk: 64, rounds: 1, causal: false };

export default model("lsh", defaults, ({ heads, d, buckets, chunk, rounds, causal }) => {
  const qk = input("qk", "f32", ["batch", heads, "seq", d]);
  const v = input("v", "f32", ["batch", heads, "seq", d]);
  const rotations = param("rotations", [heads, d, rounds, buckets / 2]);
  const chunks = `ceil(seq/${chunk})`;
  const filled = `${chunk}*${chunks} - seq`;
  const never = -1e5;

  const turned = einsum("b h s d, h d r m -> b h r s m", qk, rotations);
  const hash = argMax(concat([turned, neg(turned)], -1)).cast("i32");
  // What fills the last chunk has a bucket of its own, behind all others.
  const bucket = pad(hash, { axis: 3, high: filled, value: buckets });
  const order = argSort(bucket);

  const inChunks = (x: Tensor) => reshape(x, [`${heads * rounds}*batch`, chunks, chunk, ...x.shape.slice(4)]);
  const sorted = (x: Tensor) => inChunks(gather(pad(x, { axis: 2, high: filled }), order, { axis: 2, batch: 2 }));
  const previous = (x: Tensor, axis: number, outside: number) =>
    slice(pad(x, { axis, low: 1, value: outside }), { axis, end: -1 });
  const withPrevious = (x: Tensor, outside = 0) => concat([previous(x, 1, outside), x], 2);
  const sameBucket = (x: Tensor) => equal(expandDims(x, 3), expandDims(withPrevious(x, -1), 2));

  // Within a bucket tokens keep their order, so that slots tell who comes before whom.
  const ranked = takeAlong(bucket, order);
  const slots = iota(2 * chunk);
  const [query, key] = [expandDims(slice(slots, { axis: 0, start: chunk }), 1), slots];
  const others = causal ? less(key, query) : notEqual(key, query);
  const raw = einsum("n c q d, n c k d -> n c q k", sorted(qk), withPrevious(sorted(l2Normalise(qk)))).mul(d ** -0.5);
  const scores = where(and(sameBucket(inChunks(ranked)), others), raw, never);
  const weights = softmax(scores);

  const follows = inChunks(equal(ranked, previous(ranked, 3, -1)));
  const leads = slice(pad(follows, { axis: 2, high: 1 }), { axis: 2, start: 1 });
  const alone = expandDims(not(causal ? follows : or(follows, leads)), 3);
  const own = sorted(v);
  const found = (p: Tensor) => einsum("n c q k, n c k d -> n c q d", p, withPrevious(own));
  const unsorted = (x: Tensor) => {
    const flat = reshape(x, [...order.shape, ...x.shape.slice(3)]);
    return gather(flat, argSort(order), { axis: 3, batch: 3 });
  };
  const trimmed = (x: Tensor) => slice(sum(x, { axes: 2 }), { axis: 2, end: "seq" });
  if (rounds === 1) return { o: trimmed(unsorted(where(alone, own, found(weights)))) };

  // exp(s - ln n) is exp(s)/n, so the weights are divided; the largest score and its weight tell the logarithm of their sum.
  const along = { axes: -1, keepDims: true };
  const shared = weights.div(meetings());
  const total = sum(shared, along);
  const z = where(alone, never, max(scores, along).sub(max(weights, along).log()).add(total.log()));
  const ofRound = where(alone, own, found(shared).div(total));
  return { o: trimmed(unsorted(ofRound).mul(softmax(unsorted(z), { axis: 2 }))) };

  /** In how many rounds tokens that are in one bucket in this round are so. */
  function meetings(): Tensor {
    const others = Array.from({ length: rounds - 1 }, (_, r) => roll(bucket, { axis: 2, shift: r + 1 }));
    const met = others.map((bucket) => sameBucket(inChunks(takeAlong(bucket, order))).cast("f32"));
    return met.reduce((n, each) => n.add(each)).add(1);
  }
});
