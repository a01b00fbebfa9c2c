import type { Build } from "../../ir/arena.ts";
import type { Value } from "../../ir/graph.ts";
import { type Chunks, reading, scores, weighted } from "./chunks.ts";
import { type Decay, throughChunks, withinChunk } from "./decay.ts";
import { corners } from "./gated-scores.ts";
import { chunksFirst, chunksThird, walk } from "./states.ts";

interface DeltaRule {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly rate: Value;
  /** Of width 1. */
  readonly decay: Decay | undefined;
}

/**
 * The delta rule by chunks (Yang et al., arXiv:2406.06484 §3; with a decay arXiv:2412.06464 §3.3). What a chunk writes
 * solves (I + A) X = rate · (V - K S), A what later keys of the chunk find of earlier ones: the inverse is applied to V
 * and to K ahead, so that only S goes from chunk to chunk.
 */
export function deltaRule(b: Build, chunks: Chunks, { q, k, v, rate, decay }: DeltaRule): Value {
  const { dtype } = q.type;
  const within = decay && withinChunk(b, chunks, decay);
  const fading = (x: Value) => (within ? b.mul(x, within) : x);
  const below = chunks.pairs(dtype, (i, j) => Number(j < i));
  const upTo = chunks.pairs(dtype, (i, j) => Number(j <= i));
  const rated = b.mul(k, rate);
  const inverse = unitInverse(b, chunks, b.mul(fading(scores(b, rated, k)), below));
  const values = weighted(b, inverse, b.mul(v, rate));
  const keys = weighted(b, inverse, decay ? b.mul(rated, decay.read) : rated);
  const left = b.transpose(decay ? b.mul(k, decay.write) : k, { perm: [0, 1, 2, 4, 3] });
  const sequences = [values, keys, left].map((x) => chunksFirst(b, x));
  const kept = decay ? [throughChunks(b, chunks, decay)] : [];
  const [batch, heads] = q.type.shape;
  const state = { dtype, shape: [batch!, heads!, k.type.shape[4]!, v.type.shape[4]!] };
  const [states, written] = walk(b, state, [...sequences, ...kept], (_, [s, u, w, kt, through]) => {
    const added = b.sub(u!, b.contract(w!, s!, { spec: "b h j d, b h d e -> b h j e" }));
    const more = b.contract(kt!, added, { spec: "b h d j, b h j e -> b h d e" });
    return { next: b.add(through ? b.mul(s!, through) : s!, more), stacked: [s!, added] };
  });
  const own = weighted(b, b.mul(fading(scores(b, q, k)), upTo), chunksThird(b, written!));
  return b.add(own, reading(b, decay ? b.mul(q, decay.read) : q, chunksThird(b, states!)));
}

/**
 * (I + A)⁻¹ for A strictly below the diagonal, [.., chunk, chunk], from the inverses of its diagonal blocks of 1, 2, 4, …:
 * the inverse of [[P, 0], [C, Q]] is [[P⁻¹, 0], [-Q⁻¹ C P⁻¹, Q⁻¹]]. Stable where keys are alike, unlike products of powers
 * of A, which grow before they cancel.
 */
function unitInverse(b: Build, chunks: Chunks, a: Value): Value {
  const { dtype } = a.type;
  const product = (x: Value, y: Value) => b.contract(x, y, { spec: "b h n i j, b h n j k -> b h n i k" });
  let inverse = b.sub(
    chunks.pairs(dtype, (i, j) => Number(i === j)),
    b.mul(a, corners(chunks, dtype, 1)),
  );
  for (let block = 2; block < chunks.size; block *= 2) {
    const corner = b.mul(a, corners(chunks, dtype, block));
    inverse = b.sub(inverse, product(product(inverse, corner), inverse));
  }
  return inverse;
}
