import { toFloat64 } from "../../../src/ir/tensor.ts";
import { type Feeds, named, reader } from "./reference.ts";

/** Sequences of vectors of one batch entry and head, as lists: what recurrences are written over. */
export type Vectors = readonly (readonly number[])[];

export const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
export const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);
export const dot = (x: readonly number[], y: readonly number[]): number => sum(x.map((value, i) => value * y[i]!));
export const outer = (x: readonly number[], y: readonly number[]): number[][] => x.map((a) => y.map((c) => a * c));
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Head `h` of an input [batch, heads, length, width]. */
export function head(feeds: Feeds, name: string, b: number, h: number): Vectors {
  const x = named(feeds, name);
  const at = reader(x);
  return range(x.dims[2]!).map((t) => range(x.dims[3]!).map((c) => at(b, h, t, c)));
}

/** The tokens of an input [batch, length, width]. */
export function tokens(feeds: Feeds, name: string, b: number): Vectors {
  const x = named(feeds, name);
  const at = reader(x);
  return range(x.dims[1]!).map((t) => range(x.dims[2]!).map((c) => at(b, t, c)));
}

/** Each vector through the layer `name`: W x + b. */
export function layer(feeds: Feeds, name: string, xs: Vectors): Vectors {
  const w = named(feeds, `${name}.weight`);
  const weight = reader(w);
  const bias = feeds.has(`${name}.bias`) ? toFloat64(named(feeds, `${name}.bias`)) : undefined;
  return xs.map((x) => range(w.dims[0]!).map((o) => sum(x.map((value, i) => value * weight(o, i))) + (bias?.[o] ?? 0)));
}

/** Columns of one head of `width`. */
export const headOf = (xs: Vectors, h: number, width: number): Vectors =>
  xs.map((x) => x.slice(h * width, (h + 1) * width));

/** Heads side by side. */
export const joined = (heads: readonly Vectors[]): Vectors =>
  heads[0]!.map((_, t) => heads.flatMap((each) => each[t]!));

export const unit = (x: readonly number[]): number[] => {
  const length = Math.sqrt(dot(x, x) + 1e-6);
  return x.map((value) => value / length);
};

/** What one position finds: a state that is changed, then read. */
export interface Reading {
  readonly q: readonly number[];
  readonly k: readonly number[];
  readonly v: readonly number[];
  /** What is kept of each row of the state; all of it where left out. */
  readonly kept?: readonly number[];
  /** The rate of the delta rule; what is there is added to where left out. */
  readonly rate?: number;
}

/** The recurrence, one position after the other: S ← diag(kept) S + k vᵀ, or by the delta rule; o = Sᵀ q. */
export function recurrence(steps: readonly Reading[]): Vectors {
  let state = outer(new Array<number>(steps[0]!.k.length).fill(0), steps[0]!.v);
  return steps.map(({ q, k, v, kept, rate }) => {
    const faded = state.map((row, i) => row.map((value) => value * (kept?.[i] ?? 1)));
    const found = v.map((_, j) =>
      dot(
        k,
        faded.map((row) => row[j]!),
      ),
    );
    const written = rate === undefined ? v : v.map((value, j) => rate * (value - found[j]!));
    state = faded.map((row, i) => row.map((value, j) => value + k[i]! * written[j]!));
    return v.map((_, j) =>
      dot(
        q,
        state.map((row) => row[j]!),
      ),
    );
  });
}
