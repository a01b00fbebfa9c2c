import { input } from "qkv";

/** Sizes of the inputs of a variant. */
export interface Sizes {
  readonly heads: number;
  /** Width of a head. */
  readonly d: number;
  /** Name of the key axis. With another name than "seq" there may be more or fewer keys than queries. */
  readonly keys?: string;
}

/** q [batch, heads, seq, d], k and v [batch, heads, keys, d], ready for attention: a variant is the attention alone. */
export const queriesKeysValues = ({ heads, d, keys = "seq" }: Sizes) => ({
  q: input("q", "f32", ["batch", heads, "seq", d]),
  k: input("k", "f32", ["batch", heads, keys, d]),
  v: input("v", "f32", ["batch", heads, keys, d]),
});
