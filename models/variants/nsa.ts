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
const defaults = {
  heads: 8,
  kvHeads: 2,
  d: 64,
  compress: 32,
  stride: 16,
  select: 64,
  top: 4,
  window: 128,
};

export default model("nsa", defaults, ({ heads, kvHeads, d, compress, stride, select, top, window }) => {
  if (compress % stride !== 0 || select % stride !== 0) throw new Error("the stride divides compress and select");
  const x = input("x", "f32", ["batch", "seq", heads * d]);
  const project = (name: string, n: number) => splitHeads(linear(x, n * d, { name, bias: false }), n);
  const q = project("q_proj", heads);
  const keysAndValues = (branch: string) => [
    project(`${branch}.k_proj`, kvHeads),
    project(`${branch}.v_proj`, kvHeads),
  ];

  const blocks = `ceil(seq/${select})`;
  const perBlock = select / stride;
  const compressed = (x: Tensor, name: string) => {
    const length = `${select}*${blocks}`;
    const filled = pad(x, { axis: 2, high: `${length} - seq + ${compress - stride}` });
    const parts = Array.from({ length: compress / stride }, (_, i) => {
      const part = slice(filled, { axis: 2, start: i * stride, end: `${length} + ${i * stride}` });
      return reshape(part, ["batch", kvHeads, `${perBlock}*${blocks}`, stride, d]);
    });
    const positioned = concat(parts, 3).add(param(`compress.${name}.positions`, [compress, d]));
    const flat = rearrange(positioned, "b g n t d -> b g n (t d)");
    const hidden = relu(linear(flat, d, { name: `compress.${name}.in` }));
    return linear(hidden, d, { name: `compress.${name}.out` });
  };
  const [coarseKeys, coarseValues] = keysAndValues("compress").map((each, i) => compressed(each, "kv"[i]!));
  const queries = iota("seq");
  const grouped = rearrange(q.mul(d ** -0.5), "b (g m) s d -> b g m s d", { g: kvHeads });
  const ends = iota(`${perBlock}*${blocks}`)
    .mul(stride)
    .add(compress - 1);
  const past = lessEqual(ends, expandDims(queries, 1));
  const weights = softmax(where(past, einsum("b g m s d, b g n d -> b g m s n", grouped, coarseKeys!), -1e30));
  // The first queries have no compressed key behind them.
  const some = expandDims(greaterEqual(queries, compress - 1), 1).cast("f32");
  const coarse = einsum("b g m s n, b g n d -> b g m s d", weights, coarseValues!).mul(some);

  const shared = sum(weights, { axes: 2 }).mul(some);
  const shifted = (by: number) => slice(pad(shared, { axis: 3, low: by }), { axis: 3, end: -by });
  const covered = Array.from({ length: compress / stride - 1 }, (_, i) => shifted(i + 1));
  const importance = reduce(
    covered.reduce((a, b) => a.add(b), shared),
    "b g s (n r) -> b g s n",
    "sum",
    { r: perBlock },
  );
  const ids = iota(blocks);
  const own = expandDims(div(queries, select), 1);
  const always = or(or(equal(ids, own), equal(ids, own.sub(1))), equal(ids, 0));
  const ranks = where(always, Number.POSITIVE_INFINITY, importance);
  const [values, chosen] = topK(where(lessEqual(ids, own), ranks, Number.NEGATIVE_INFINITY), `min(${top}, ${blocks})`);
  const selection = where(greater(values, Number.NEGATIVE_INFINITY), chosen, -1);
  const [farKeys, farValues] = keysAndValues("select");
  const fine = blockAttention(q, farKeys!, farValues!, selection, { block: select, causal: true });

  const [nearKeys, nearValues] = keysAndValues("window");
  const near = attention(q, nearKeys!, nearValues!, { mask: ({ q, k }) => k <= q && q - k < window });

  const gates = split(sigmoid(linear(x, 3 * heads, { name: "gate_proj" })), 3, 2);
  const [a, b, c] = gates.map((gate) => rearrange(gate, "b s h -> b h s 1"));
  const o = rearrange(coarse, "b g m s d -> b (g m) s d").mul(a!).add(fine.mul(b!)).add(near.mul(c!));
  return { o: merge(o) };
});
