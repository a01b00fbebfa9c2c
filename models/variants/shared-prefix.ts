import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { documentOf } from "./masks.ts";

/**
 * Shared prefix: several answers to one prompt in one sequence; each sees the prompt and itself, not the other answers.
 *
 * mask = start(document(q)) <= k <= q, or k lies in the prompt of document(q). Document i begins at offsets[i], its
 * prompt is document prompts[i]; prompts are their own. The last document goes on to the end.
 *
 * Juravsky et al., "Hydragen: High-Throughput LLM Inference with Shared Prefixes" (arXiv:2402.05099).
 */
const defaults = {
  heads: 8,
  d: 64,
  offsets: [0, 1024, 1408, 1792, 2048, 3072, 3456, 3840],
  prompts: [0, 0, 0, 0, 4, 4, 4, 4],
};

export default model("shared-prefix", defaults, ({ offsets, prompts, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const of = documentOf(offsets);
  const starts = prompts.map((prompt) => offsets[prompt]!);
  // An answer has a prompt that ends; a prompt sees itself causally, so its end is its start.
  const ends = prompts.map((prompt, document) => (prompt === document ? offsets[prompt]! : offsets[prompt + 1]!));
  const o = attention(q, k, v, {
    mask: ({ q, k }) => {
      const document = of(q);
      return (offsets[document]! <= k && k <= q) || (starts[document]! <= k && k < ends[document]!);
    },
  });
  return { o };
});
