import type { Build } from "../../ir/arena.ts";
import { lowest, wide } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import type { Chunks } from "./chunks.ts";

/**
 * What is kept of the state from one position to another, as sums of logarithms, so that only ratios up to 1 are ever
 * computed. All are [batch or 1, heads or 1, chunks or 1, …, width or 1]. Sums of 16 bits are kept in float32.
 */
export interface Decay {
  /** Element type of factors. */
  readonly dtype: DType;
  /** From the start of a chunk through position i: [.., chunk, w], logarithms. */
  readonly since: Value;
  /** Through a whole chunk: [.., 1, w], logarithms. */
  readonly whole: Value;
  /** Factor of what queries read off the state. */
  readonly read: Value;
  /** Factor of what keys leave in the state at the end of their chunk. */
  readonly write: Value;
}

/** e^x is 0 from here down; -∞, a gate that closes wholly, would leave no difference to what comes after it. */
const nothing = { f64: -746, f32: -104 } as const;

/** e to a sum of logarithms, as a factor. */
export function factorOf(b: Build, logarithm: Value, dtype: DType): Value {
  const factor = b.exp(logarithm);
  return factor.type.dtype === dtype ? factor : b.cast(factor, { to: dtype });
}

/** The decay of chunks, from logarithms [batch or 1, heads or 1, length or 1, width or 1] of one position each. */
export function decayOf(b: Build, chunks: Chunks, given: Value): Decay {
  const dtype = wide(given.type.dtype);
  const exact = dtype === given.type.dtype ? given : b.cast(given, { to: dtype });
  const logs = b.max(exact, b.scalar(nothing[dtype], dtype));
  const [batch, heads, length, width] = given.type.shape as [Dim, Dim, Dim, Dim];
  const { size } = chunks;
  let since: Value;
  if (length === 1 && width === 1) {
    const steps = b.reshape(b.add(b.iota({ size, dtype }), b.scalar(1, dtype)), { shape: [1, 1, 1, size, 1] });
    since = b.mul(b.reshape(logs, { shape: [batch, heads, 1, 1, 1] }), steps);
  } else
    since = b.cumsum(chunks.split(b.broadcast(logs, { shape: [batch, heads, chunks.length, width] })), { axis: 3 });
  const whole = b.slice(since, { axis: 3, start: size - 1, end: size });
  const [read, write] = [since, b.sub(whole, since)].map((sums) => factorOf(b, sums, given.type.dtype));
  return { dtype: given.type.dtype, since, whole, read: read!, write: write! };
}

/** [.., chunk, chunk]: what query i still has of key j of its chunk, 0 for keys after it. For decays of width 1. */
export function withinChunk(b: Build, chunks: Chunks, { since, dtype: to }: Decay): Value {
  const { dtype, shape } = since.type;
  const [batch, heads, count, size] = shape as [Dim, Dim, Dim, Dim];
  const rows = b.reshape(since, { shape: [batch, heads, count, 1, size] });
  // Differences above the diagonal are positive: they never reach the exponential.
  const seen = chunks.pairs("bool", (i, j) => Number(j <= i));
  return factorOf(b, b.select(seen, b.sub(since, rows), b.scalar(lowest[dtype]!, dtype)), to);
}

/** [batch or 1, heads or 1, w, 1] for each chunk: the factor of the state [batch, heads, d, e] through it. */
export function throughChunks(b: Build, chunks: Chunks, { whole, dtype }: Decay): Value {
  const [batch, heads, count, , width] = whole.type.shape as [Dim, Dim, Dim, Dim, Dim];
  const all = count === 1 ? b.broadcast(whole, { shape: [batch, heads, chunks.count, 1, width] }) : whole;
  const column = b.reshape(all, { shape: [batch, heads, chunks.count, width, 1] });
  return b.transpose(factorOf(b, column, dtype), { perm: [2, 0, 1, 3, 4] });
}
