import type { Dim } from "../dim.ts";
import type { Value } from "../graph.ts";
import type { Emit } from "../op-def.ts";
import type { Lengths } from "./types.ts";

/** The indices a formula is computed at: f64 tensors of one rank that stretch to one another, each within its length. */
export interface Grid {
  readonly rank: number;
  readonly b: Value;
  readonly h: Value;
  readonly q: Value;
  readonly k: Value;
  /**
   * q - k, where it stretches over fewer axes than q and k do: what depends on distance alone is computed once for all
   * blocks. Unlike q and k it may leave the lengths.
   */
  readonly difference?: Value;
  /** The stretches of all queries and keys that q and k run through, where [b, h, q, k] are the axes. */
  readonly cuts?: { readonly q: readonly Cut[]; readonly k: readonly Cut[] };
}

/** Indices from start up to but without end. */
export interface Cut {
  readonly start: Dim;
  readonly end: Dim;
}

export const axes = { b: 0, h: 1, q: 2, k: 3 } as const;
export const lengthNames = ["B", "H", "Q", "K"] as const;

/** 0, 1, … of each index along an axis of its own. */
export function axesGrid(b: Emit, lengths: Lengths): Grid {
  const along = (axis: 0 | 1 | 2 | 3): Value => {
    const size = lengths[lengthNames[axis]];
    const shape: Dim[] = [1, 1, 1, 1];
    shape[axis] = size;
    return b.reshape(b.iota({ size, dtype: "f64" }), { shape });
  };
  const made = new Map<keyof typeof axes, Value>();
  const lazily = (name: keyof typeof axes): Value => {
    let value = made.get(name);
    if (!value) made.set(name, (value = along(axes[name])));
    return value;
  };
  return {
    rank: 4,
    get b() {
      return lazily("b");
    },
    get h() {
      return lazily("h");
    },
    get q() {
      return lazily("q");
    },
    get k() {
      return lazily("k");
    },
  };
}
