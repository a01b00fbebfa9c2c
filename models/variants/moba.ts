import {
  blockAttention,
  div,
  einsum,
  equal,
  expandDims,
  greater,
  iota,
  less,
  mean,
  model,
  pad,
  reshape,
  topK,
  where,
} from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Mixture of block attention: each query of each head sees the few blocks of keys whose mean it likes best, its own always.
 *
 * o(q) = softmax(scale · q K_Iᵀ) V_I causal, I = the `top` blocks of largest gate; gate(i) = q · mean of the keys of block i for
 * blocks that are past, ∞ for the block of q, -∞ for those to come.
 *
 * Gates compare each query with each block, seq² / block numbers; scores are computed for chosen blocks alone.
 *
 * Lu et al., "MoBA: Mixture of Block Attention for Long-Context LLMs" (arXiv:2502.13189), §2.2.
 */
const defaults = { heads: 8, d: 64, block: 64, top: 3 };

export default model("moba", defaults, ({ heads, d, block, top }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const count = `ceil(seq/${block})`;
  const filled = pad(k, { axis: 2, high: `${block}*${count} - seq` });
  // Only the block of the last queries can be short, and no query needs its mean.
  const means = mean(reshape(filled, ["batch", heads, count, block, d]), { axes: 3 });
  const affinity = einsum("b h s d, b h n d -> b h s n", q, means);
  const own = expandDims(div(iota("seq"), block), 1);
  const ids = iota(count);
  const gate = where(
    less(ids, own),
    affinity,
    where(equal(ids, own), Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  );
  const [gates, chosen] = topK(gate, `min(${top}, ${count})`);
  const blocks = where(greater(gates, Number.NEGATIVE_INFINITY), chosen, -1);
  return { o: blockAttention(q, k, v, blocks, { block, causal: true }) };
});
