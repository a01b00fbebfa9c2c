import type { Build } from "../../ir/arena.ts";
import { ceilDiv, type Dim, mul, sub } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { fromNumbers } from "../../ir/tensor.ts";

/** Sequences cut into chunks of equal length: [batch, heads, length, …] as [batch, heads, chunks, chunk, …]. */
export class Chunks {
  readonly length: Dim;
  /** Positions of a chunk. */
  readonly size: number;
  readonly count: Dim;
  readonly b: Build;

  constructor(b: Build, length: Dim, size: number) {
    this.b = b;
    this.length = length;
    this.size = size;
    this.count = ceilDiv(length, size);
  }

  /** The last chunk is filled up with zeros. */
  split(x: Value): Value {
    const [batch, heads, , width] = x.type.shape as [Dim, Dim, Dim, Dim];
    const high = sub(mul(this.count, this.size), this.length);
    const padded = high === 0 ? x : this.b.pad(x, { axis: 2, low: 0, high });
    return this.b.reshape(padded, { shape: [batch, heads, this.count, this.size, width] });
  }

  join(x: Value): Value {
    const [batch, heads, , , width] = x.type.shape as [Dim, Dim, Dim, Dim, Dim];
    const padded = mul(this.count, this.size);
    const joined = this.b.reshape(x, { shape: [batch, heads, padded, width] });
    return padded === this.length ? joined : this.b.slice(joined, { axis: 2, start: 0, end: this.length });
  }

  /** [chunk, chunk]: `value` at query i and key j of one chunk. */
  pairs(dtype: Value["type"]["dtype"], value: (i: number, j: number) => number): Value {
    const { size } = this;
    const values = Array.from({ length: size * size }, (_, at) => value(Math.floor(at / size), at % size));
    return this.b.constant({ value: fromNumbers(dtype, [size, size], values) });
  }
}

/** Products within chunks: labels b, h and n are batch, heads and chunks, i and j queries and keys of one chunk. */
export const scores = (b: Build, q: Value, k: Value): Value =>
  b.contract(q, k, { spec: "b h n i d, b h n j d -> b h n i j" });
export const weighted = (b: Build, weights: Value, v: Value): Value =>
  b.contract(weights, v, { spec: "b h n i j, b h n j e -> b h n i e" });
/** What queries read off the state of their chunk. */
export const reading = (b: Build, q: Value, state: Value): Value =>
  b.contract(q, state, { spec: "b h n i d, b h n d e -> b h n i e" });
/** What the keys of each chunk add to the state. */
export const writing = (b: Build, k: Value, v: Value): Value =>
  b.contract(k, v, { spec: "b h n j d, b h n j e -> b h n d e" });
