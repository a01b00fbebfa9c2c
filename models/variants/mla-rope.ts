import { attention, einsum, input, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";
import { causal } from "./masks.ts";

/**
 * Decoupled RoPE of multi-head latent attention: positions enter as a second product, its keys shared by all heads.
 *
 * score = s + turned_q · turned_k / √(d + rope), with s = q · k / √(d + rope); causal.
 *
 * DeepSeek-AI, "DeepSeek-V2" (arXiv:2405.04434), §2.1.3.
 */
export default model("mla-rope", { heads: 8, d: 64, rope: 32 }, ({ heads, d, rope }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const turnedQuery = input("turned_q", "f32", ["batch", heads, "seq", rope]);
  const turnedKey = input("turned_k", "f32", ["batch", "seq", rope]);
  const scale = 1 / Math.sqrt(d + rope);
  const bias = einsum("b h q r, b k r -> b h q k", turnedQuery, turnedKey).mul(scale);
  const o = attention(q, k, v, { scale, bias, mask: causal });
  return { o };
});
