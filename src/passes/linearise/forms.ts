import type { Build } from "../../ir/arena.ts";
import { divideBySum } from "../../ir/attend.ts";
import { type Dim, divideExact } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { Chunks, reading, scores, weighted, writing } from "./chunks.ts";
import { type Decay, decayOf, throughChunks, withinChunk } from "./decay.ts";
import { deltaRule } from "./delta.ts";
import { gatedScores } from "./gated-scores.ts";
import { chunksFirst, chunksThird, walk } from "./states.ts";

/** Causal attention without a softmax: q, k and v are [batch, heads, length, width]; heads of k and v divide those of q. */
export interface Recurrence {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly scale: number;
  /** Logarithms of what is kept of the state; see `linearAttention`. */
  readonly decay?: Value | undefined;
  /** Rates of the delta rule, stretching to [batch, heads, length, 1]. */
  readonly rate?: Value | undefined;
  /** Divide by the sum of the weights. */
  readonly normalised?: boolean;
}

/** The recurrence by chunks: attention within each, and a state from one to the next. Linear in the length. */
export function chunked(b: Build, given: Recurrence, size: number): Value {
  const [, heads, length] = given.q.type.shape as [Dim, Dim, Dim];
  const chunks = new Chunks(b, length, size);
  const scaled = b.mul(given.q, b.scalar(given.scale, given.q.type.dtype));
  const operands = [scaled, ungrouped(b, given.k, heads), ungrouped(b, given.v, heads)];
  const [q, k, v] = operands.map((x) => chunks.split(x)) as [Value, Value, Value];
  const decay = given.decay && decayOf(b, chunks, given.decay);
  if (given.rate) {
    const rate = chunks.split(b.broadcast(given.rate, { shape: [...given.q.type.shape.slice(0, 3), 1] }));
    return chunks.join(deltaRule(b, chunks, { q, k, v, rate, decay }));
  }
  if (!decay) return chunks.join(plain(b, chunks, q, k, v, given.normalised ?? false));
  const each = given.decay.type.shape[3] !== 1;
  const own = each ? gatedScores(b, chunks, q, k, decay.since) : b.mul(scores(b, q, k), withinChunk(b, chunks, decay));
  const added = writing(b, b.mul(k, decay.write), v);
  const states = decayed(b, chunks, added, decay);
  return chunks.join(b.add(weighted(b, own, v), reading(b, b.mul(q, decay.read), states)));
}

/** Σ over keys up to the query of (q·k) v, or the mean of v with these weights. */
function plain(b: Build, chunks: Chunks, q: Value, k: Value, v: Value, normalised: boolean): Value {
  const before = (x: Value) => b.cumsum(x, { axis: 2, exclusive: true });
  const seen = chunks.pairs(q.type.dtype, (i, j) => Number(j <= i));
  const own = b.mul(scores(b, q, k), seen);
  const sums = b.add(weighted(b, own, v), reading(b, q, before(writing(b, k, v))));
  if (!normalised) return sums;
  const keys = before(b.reduceSum(k, { axes: [3] }));
  const [batch, heads, count, size] = q.type.shape as [Dim, Dim, Dim, Dim];
  const earlier = b.reshape(b.contract(q, keys, { spec: "b h n i d, b h n d -> b h n i" }), {
    shape: [batch, heads, count, size, 1],
  });
  return divideBySum(b, sums, b.add(b.reduceSum(own, { axes: [4], keepDims: true }), earlier));
}

/** The state before each chunk, [batch, heads, chunks, d, e], where a decay lies over what is added. */
function decayed(b: Build, chunks: Chunks, added: Value, decay: Decay): Value {
  const sequences = [chunksFirst(b, added), throughChunks(b, chunks, decay)] as const;
  const { dtype, shape } = sequences[0].type;
  const [states] = walk(b, { dtype, shape: shape.slice(1) }, sequences, (_, [state, more, kept]) => ({
    next: b.add(b.mul(state!, kept!), more!),
    stacked: [state!],
  }));
  return chunksThird(b, states!);
}

/** Keys and values for every query head. */
export function ungrouped(b: Build, x: Value, heads: Dim): Value {
  const [batch, kvHeads, length, width] = x.type.shape as [Dim, Dim, Dim, Dim];
  if (heads === kvHeads) return x;
  const group = divideExact(heads, kvHeads)!;
  const apart = b.reshape(x, { shape: [batch, kvHeads, 1, length, width] });
  const repeated = b.broadcast(apart, { shape: [batch, kvHeads, group, length, width] });
  return b.reshape(repeated, { shape: [batch, heads, length, width] });
}
