import {
  attention,
  blockAttention,
  concat,
  div,
  einsum,
  equal,
  expandDims,
  greater,
  greaterEqual,
  input,
  iota,
  lessEqual,
  linear,
  merge,
  model,
  or,
  pad,
  param,
  rearrange,
  reduce,
  relu,
  reshape,
  sigmoid,
  slice,
  softmax,
  split,
  heads as splitHeads,
  sum,
  type Tensor,
  topK,
  where,
} from "qkv";

/**
 * Native sparse attention: three causal branches, over compressed blocks, over the blocks these point to, and over a window.
 *
 * o(q) = Σ g_c(x) · softmax(scale · q K_cᵀ) V_c over c = compressed, selected, window, each with keys and values of its own and a gate
 * g_c = sigmoid(W x).
 *
 * Compressed: every `stride` keys, `compress` of them become one by a two-layer network with positions, seen once all of them are
 * past. Selected: the weights of compressed keys, summed over the heads of a group and over what covers a block of `select` keys, rank
 * the blocks; the first, the query's own and the one before it are always among the `top` (at least 3). Window: the last `window` keys.
 *
 * Yuan et al., "Native Sparse Attention" (arXiv:2502.11089), §3.3, equations 5 to 12.
 */
const defaults = { heads: 8, kvHeads: 2, d: 64, compress: 32, stride: 16, select: 64, top: 4, window: 128 };

export default model("nsa", defaults, (settings) => {
  const { heads, kvHeads, d, compress, stride, select, window } = settings;
  if (compress % stride !== 0 || select % stride !== 0) throw new Error("the stride divides compress and select");
  const x = input("x", "f32", ["batch", "seq", heads * d]);
  const project = (name: string, n: number) => splitHeads(linear(x, n * d, { name, bias: false }), n);
  const keysAndValues = (branch: string) =>
    [project(`${branch}.k_proj`, kvHeads), project(`${branch}.v_proj`, kvHeads)] as const;
  const q = project("q_proj", heads);

  const [coarseKeys, coarseValues] = keysAndValues("compress");
  const weights = coarseWeights(q, compressed(coarseKeys, "k", settings), settings);
  const coarse = einsum("b g m s n, b g n d -> b g m s d", weights, compressed(coarseValues, "v", settings));

  const blocks = importantBlocks(sum(weights, { axes: 2 }), settings);
  const fine = blockAttention(q, ...keysAndValues("select"), blocks, { block: select, causal: true });
  const near = attention(q, ...keysAndValues("window"), { mask: ({ q, k }) => k <= q && q - k < window });

  const gates = split(sigmoid(linear(x, 3 * heads, { name: "gate_proj" })), 3, 2);
  const [a, b, c] = gates.map((gate) => rearrange(gate, "b s h -> b h s 1"));
  const o = rearrange(coarse, "b g m s d -> b (g m) s d").mul(a!).add(fine.mul(b!)).add(near.mul(c!));
  return { o: merge(o) };
});

type Sizes = typeof defaults;

/** Compressed keys there are, those that are not complete among them. */
const compressedCount = ({ select, stride }: Sizes) => `${select / stride}*ceil(seq/${select})`;

/** Every `stride` keys (or values), `compress` of them as one: [batch, kvHeads, compressed, d]. */
function compressed(x: Tensor, name: string, settings: Sizes): Tensor {
  const { kvHeads, d, compress, stride, select } = settings;
  const length = `${select}*ceil(seq/${select})`;
  const filled = pad(x, { axis: 2, high: `${length} - seq + ${compress - stride}` });
  const parts = Array.from({ length: compress / stride }, (_, i) => {
    const part = slice(filled, { axis: 2, start: i * stride, end: `${length} + ${i * stride}` });
    return reshape(part, ["batch", kvHeads, compressedCount(settings), stride, d]);
  });
  const positioned = concat(parts, 3).add(param(`compress.${name}.positions`, [compress, d]));
  const flat = rearrange(positioned, "b g n t d -> b g n (t d)");
  const hidden = relu(linear(flat, d, { name: `compress.${name}.in` }));
  return linear(hidden, d, { name: `compress.${name}.out` });
}

/** Weights of the compressed keys that are past, [batch, kvHeads, group, seq, compressed]; zero where there are none. */
function coarseWeights(q: Tensor, keys: Tensor, settings: Sizes): Tensor {
  const { kvHeads, d, compress, stride } = settings;
  const grouped = rearrange(q.mul(d ** -0.5), "b (g m) s d -> b g m s d", { g: kvHeads });
  const starts = iota(compressedCount(settings)).mul(stride);
  const queries = expandDims(iota("seq"), 1);
  const past = lessEqual(starts.add(compress - 1), queries);
  const weights = softmax(where(past, einsum("b g m s d, b g n d -> b g m s n", grouped, keys), -1e30));
  return weights.mul(greaterEqual(queries, compress - 1).cast("f32"));
}

/** The blocks each query of a group sees, -1 for none, from the weights of compressed keys [batch, kvHeads, seq, compressed]. */
function importantBlocks(weights: Tensor, { compress, stride, select, top }: Sizes): Tensor {
  const blocks = `ceil(seq/${select})`;
  const shifted = (by: number) => slice(pad(weights, { axis: 3, low: by }), { axis: 3, end: -by });
  const covering = Array.from({ length: compress / stride - 1 }, (_, i) => shifted(i + 1));
  const covered = covering.reduce((total, each) => total.add(each), weights);
  const importance = reduce(covered, "b g s (n r) -> b g s n", "sum", { r: select / stride });
  const ids = iota(blocks);
  const own = expandDims(div(iota("seq"), select), 1);
  const always = or(or(equal(ids, own), equal(ids, own.sub(1))), equal(ids, 0));
  const ranks = where(always, Number.POSITIVE_INFINITY, importance);
  const [values, chosen] = topK(where(lessEqual(ids, own), ranks, Number.NEGATIVE_INFINITY), `min(${top}, ${blocks})`);
  return where(greater(values, Number.NEGATIVE_INFINITY), chosen, -1);
}
