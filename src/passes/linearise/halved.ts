import type { Build } from "../../ir/arena.ts";
import { type Dim, mul } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import type { Chunks } from "./chunks.ts";

interface Gated {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  /** Sums of logarithms through each position of its chunk, as wide as k. */
  readonly since: Value;
}

/**
 * Attention within chunks where each element of a key decays by itself (Yang et al., arXiv:2312.06635 §4.2): no ratio may be
 * taken apart into a product that grows. The later half of each block attends to its earlier half, both measured from
 * the border between them, so that no factor exceeds 1; then the halves do the same, down to single positions, which keep
 * themselves whole.
 */
export function halved(b: Build, chunks: Chunks, { q, k, v, since }: Gated): Value {
  const diagonal = b.reduceSum(b.mul(q, k), { axes: [4], keepDims: true });
  let total = b.mul(diagonal, v);
  for (let half = chunks.size / 2; half >= 1; half /= 2)
    total = b.add(total, acrossBorders(b, half, { q, k, v, since }));
  return total;
}

/** What the later halves of blocks of twice the size see of the earlier halves, zeros for the earlier ones. */
function acrossBorders(b: Build, half: number, { q, k, v, since }: Gated): Value {
  const blocks = (x: Value) => {
    const [batch, heads, count, size, width] = x.type.shape as [Dim, Dim, Dim, number, Dim];
    return b.reshape(x, { shape: [batch, heads, mul(count, size / (2 * half)), 2, half, width] });
  };
  const part = (x: Value, at: 0 | 1) => {
    const cut = b.slice(blocks(x), { axis: 3, start: at, end: at + 1 });
    const { shape } = cut.type;
    return b.reshape(cut, { shape: [...shape.slice(0, 3), ...shape.slice(4)] });
  };
  const [early, late] = [part(since, 0), part(since, 1)];
  const border = b.slice(early, { axis: 3, start: half - 1, end: half });
  const queries = b.mul(part(q, 1), b.exp(b.sub(late, border)));
  const keys = b.mul(part(k, 0), b.exp(b.sub(border, early)));
  const weights = b.contract(queries, keys, { spec: "b h n i d, b h n j d -> b h n i j" });
  const seen = b.contract(weights, part(v, 0), { spec: "b h n i j, b h n j e -> b h n i e" });
  const [batch, heads, count, , width] = seen.type.shape as [Dim, Dim, Dim, Dim, Dim];
  const placed = b.pad(b.reshape(seen, { shape: [batch, heads, count, 1, half, width] }), { axis: 3, low: 1, high: 0 });
  return b.reshape(placed, { shape: v.type.shape });
}
