import { attention, cumsum, input, log, model, sigmoid } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Forgetting attention: every token says by a gate how much of what came before it is to be forgotten.
 *
 * score = s + Σ ln f over the tokens k + 1 … q = s + c[q] - c[k], f = σ(gate) and c its running sum; causal.
 *
 * Lin et al., "Forgetting Transformer: Softmax Attention with a Forget Gate" (arXiv:2503.02130), §3.
 */
export default model("forgetting", { heads: 8, d: 64 }, (settings) => {
  const { q, k, v } = queriesKeysValues(settings);
  const gate = input("gate", "f32", ["batch", settings.heads, "seq"]);
  const c = cumsum(log(sigmoid(gate)), { axis: 2 });
  const o = attention(q, k, v, {
    mask: causal,
    // Far into a sequence c is large, and s + c would round s.
    score: (s, { b, h, q, k }) => s + (c[b]![h]![q]! - c[b]![h]![k]!),
  });
  return { o };
});
