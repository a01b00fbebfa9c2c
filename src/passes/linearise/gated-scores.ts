import type { Build } from "../../ir/arena.ts";
import { type Dim, mul } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { fromNumbers } from "../../ir/tensor.ts";
import { type Chunks, scores } from "./chunks.ts";
import { factorOf } from "./decay.ts";

/**
 * [.., chunk, chunk]: scores of a query and the keys up to it, where each element of a key decays by itself (Yang et al.,
 * arXiv:2312.06635 §4.2). `since` are sums of logarithms through each position of its chunk, as wide as k.
 *
 * A ratio of two decays may not be taken apart into factors that grow. Pairs of a later and an earlier half of a block are
 * measured from the border between them, so that no factor exceeds 1; blocks of 2, 4, … positions have each pair once.
 */
export function gatedScores(b: Build, chunks: Chunks, q: Value, k: Value, since: Value): Value {
  const { dtype } = q.type;
  let total = b.mul(
    scores(b, q, k),
    chunks.pairs(dtype, (i, j) => Number(i === j)),
  );
  for (let half = 1; half < chunks.size; half *= 2) {
    const factor = factorOf(b, fromBorder(b, since, half), dtype);
    const across = scores(b, b.mul(q, factor), b.mul(k, factor));
    total = b.add(total, b.mul(across, corners(chunks, dtype, half)));
  }
  return total;
}

/** Logarithm of what is kept from each earlier position of a block of twice `half` to its border, and from there to each later one. */
function fromBorder(b: Build, since: Value, half: number): Value {
  const { dtype, shape } = since.type;
  const [batch, heads, count, size, width] = shape as [Dim, Dim, Dim, number, Dim];
  const blocks = b.reshape(since, { shape: [batch, heads, mul(count, size / (2 * half)), 2 * half, width] });
  const border = b.slice(blocks, { axis: 3, start: half - 1, end: half });
  const signs = Array.from({ length: 2 * half }, (_, i) => (i < half ? -1 : 1));
  const column = b.constant({ value: fromNumbers(dtype, [2 * half, 1], signs) });
  return b.reshape(b.mul(b.sub(blocks, border), column), { shape });
}

/** 1 where a later half of a block of twice `half` meets its earlier half: the lower left of its square. */
export const corners = (chunks: Chunks, dtype: Value["type"]["dtype"], half: number): Value =>
  chunks.pairs(dtype, (i, j) =>
    Number(Math.floor(i / half) % 2 === 1 && Math.floor(j / half) === Math.floor(i / half) - 1),
  );
