import {
  attention,
  broadcastTo,
  concat,
  einsum,
  exp,
  iota,
  less,
  logSumExp,
  model,
  pad,
  param,
  rearrange,
  relu,
  reshape,
  size,
  slice,
  sum,
  type Tensor,
} from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Sparse Sinkhorn attention: blocks of keys are sorted by a learnt soft permutation; a query sees its own block and the one sorted to it.
 *
 * o(q) = softmax(scale · q [S K; K]ᵀ) [S V; V] over the block of q; S = sinkhorn(exp(R / temperature)) mixes blocks, row i of R is
 * relu(B relu(P x_i + p) + b), x_i the sum of the keys of block i.
 *
 * Each iteration of Sinkhorn's normalisation divides rows, then columns, by their sums, here as logarithms. The sorting network
 * names blocks by their place, so there is a longest sequence (`max`). What fills the last block is zero and seen by no query.
 *
 * Tay et al., "Sparse Sinkhorn Attention" (arXiv:2002.11296), §3.
 */
const defaults = { heads: 8, d: 64, block: 64, max: 16384, iterations: 8, temperature: 0.75 };

export default model("sinkhorn", defaults, ({ heads, d, block, max, iterations, temperature }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const count = `ceil(seq/${block})`;
  const most = Math.ceil(max / block);
  const inBlocks = (x: Tensor) =>
    reshape(pad(x, { axis: 2, high: `${block}*${count} - seq` }), ["batch", heads, count, block, d]);
  const [queries, keys, values] = [inBlocks(q), inBlocks(k), inBlocks(v)];

  const first = einsum("b h n i, h i o -> b h n o", sum(keys, { axes: 3 }), param("sort_in.weight", [heads, d, d]));
  const hidden = relu(first.add(param("sort_in.bias", [heads, 1, d], { init: "zeros" })));
  const places = (x: Tensor) => slice(x, { axis: 2, end: count });
  const second = einsum("b h n i, h i m -> b h n m", hidden, places(param("sort_out.weight", [heads, d, most])));
  let sorting = relu(second.add(places(param("sort_out.bias", [heads, 1, most], { init: "zeros" })))).mul(
    1 / temperature,
  );
  for (let i = 0; i < iterations; i++)
    for (const axes of [3, 2]) sorting = sorting.sub(logSumExp(sorting, { axes, keepDims: true }));

  const withSorted = (x: Tensor) => {
    const mixed = einsum("b h n m, b h m t e -> b h n t e", exp(sorting), x);
    return rearrange(concat([mixed, x], 3), "b h n t e -> (b h) n t e");
  };
  const position = iota(`${block}*${count}`);
  const real = less(reshape(position, [count, block]), size("seq"));
  // A mix of blocks is empty only where all of them are: where there is but one.
  const mixed = broadcastTo(less(iota(block), size("seq")), [count, block]);
  const mask = reshape(concat([mixed, real], 1), [1, count, 1, 2 * block]);
  const found = attention(rearrange(queries, "b h n t e -> (b h) n t e"), withSorted(keys), withSorted(values), {
    mask,
  });
  return { o: slice(reshape(found, ["batch", heads, `${block}*${count}`, d]), { axis: 2, end: "seq" }) };
});
