import { einsum, input, model, param, rmsNorm, rope, slice, softmax } from "qkv";

/**
 * Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, §2.1), declared plainly: keys and values of all heads are
 * expanded from one cached latent per token.
 *
 * `h` holds the new tokens, [batch, q, d]; `latent` [batch, k, rank] and `k_rope` [batch, k, ropeWidth] the cache of all
 * tokens, the new ones last, the keys already turned; `positions` [batch, q] says where the new tokens stand. Every new
 * token sees the whole cache, as in a decoding step. The part of each key that carries positions (decoupled RoPE) is
 * shared by all heads. Expanding the latent is wasteful: multiplying W^UK into the queries
 * and W^UV into the output instead is left to the compiler.
 */
const defaults = { d: 512, heads: 8, width: 64, ropeWidth: 32, rank: 128, queryRank: 192 };

export default model("mla", defaults, ({ d, heads, width, ropeWidth, rank, queryRank }) => {
  const h = input("h", "f32", ["batch", "q", d]);
  const latent = input("latent", "f32", ["batch", "k", rank]);
  const turnedKey = input("k_rope", "f32", ["batch", "k", ropeWidth]);
  const positions = input("positions", "i64", ["batch", "q"]);

  const queryLatent = rmsNorm(einsum("b q d, d r -> b q r", h, param("q_a", [d, queryRank])), { name: "q_a_norm" });
  const query = einsum("b q r, r h e -> b h q e", queryLatent, param("q_b", [queryRank, heads, width + ropeWidth]));
  const qContent = slice(query, { axis: 3, end: width });
  const qTurned = rope(slice(query, { axis: 3, start: width }), { positions, interleaved: true });

  const kContent = einsum("b k r, r h e -> b h k e", latent, param("k_b", [rank, heads, width]));
  const v = einsum("b k r, r h e -> b h k e", latent, param("v_b", [rank, heads, width]));

  const contentScores = einsum("b h q e, b h k e -> b h q k", qContent, kContent);
  const positionScores = einsum("b h q e, b k e -> b h q k", qTurned, turnedKey);
  const weights = softmax(contentScores.add(positionScores).mul(1 / Math.sqrt(width + ropeWidth)));

  const seen = einsum("b h q k, b h k e -> b h q e", weights, v);
  const o = einsum("b h q e, h e d -> b q d", seen, param("o", [heads, width, d]));
  return { o };
});
