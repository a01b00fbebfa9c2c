import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { and, causal, or, prefix, window } from "./masks.ts";

/**
 * StreamingLLM: the first few tokens, which models use as sinks of attention, and a window of the last ones.
 *
 * mask = k <= q and (k < sinks or q - k <= window).
 *
 * Xiao et al., "Efficient Streaming Language Models with Attention Sinks" (arXiv:2309.17453), §3.2.
 */
const defaults = { heads: 8, d: 64, keys: "seq", sinks: 4, window: 256 };

export default model("streaming-llm", defaults, ({ sinks, window: reach, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, { mask: and(causal, or(prefix(sinks), window(reach))) });
  return { o };
});
