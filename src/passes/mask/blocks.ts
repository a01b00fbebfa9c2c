import type { Build } from "../../ir/arena.ts";
import { addedOn, attendInSteps, type GridOfScores } from "../../ir/attend.ts";
import { type Dim, mul, sub } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import type { MaskProblem } from "./problem.ts";

/** Queries in blocks, each with keys of its own. */
export interface Blocks {
  /** Queries of a block. */
  readonly rows: number;
  /** How many blocks: they cover the queries, and may go beyond. */
  readonly count: Dim;
  /** Keys of a block. */
  readonly width: number;
  /** f64 [count, width]: places of each block's keys among all keys; some may lie outside, and are not seen. */
  readonly places: Value;
  /** f64 [rows, width]: q - k, where it is the same in all blocks. */
  readonly difference?: Value;
  /** Keys are gathered in runs of this many, which the places consist of; all keys are a whole number of runs. */
  readonly run: number;
  /** All places lie inside. */
  readonly inside: boolean;
  /** f64 [count]: the first query of each block, where they are not one after the other. */
  readonly starts?: Value;
}

/**
 * Attention block by block: queries become [batch · kvHeads, blocks · group, rows, width], keys are gathered for each
 * block, and formulas are computed at the places of both. Standard ops only; lengths may be symbolic.
 */
export function attendInBlocks(problem: MaskProblem, blocks: Blocks): Value {
  const { b, sizes } = problem;
  const { batch, heads, kvHeads, group, queries, keys, width, valueWidth } = sizes;
  const { rows, count } = blocks;
  const padded = mul(count, rows);
  const flatBatch = mul(batch, kvHeads);
  const intoBlocks = (x: Value, last: Dim): Value => {
    const long = padded === queries ? x : b.pad(x, { axis: 2, low: 0, high: sub(padded, queries) });
    if (group === 1) return b.reshape(long, { shape: [flatBatch, count, rows, last] });
    const split = b.reshape(long, { shape: [batch, kvHeads, group, count, rows, last] });
    const moved = b.transpose(split, { perm: [0, 1, 3, 2, 4, 5] });
    return b.reshape(moved, { shape: [flatBatch, mul(count, group), rows, last] });
  };
  const gathered = (x: Value, last: Dim) => {
    const flat = b.reshape(x, { shape: [flatBatch, keys, last] });
    return gatherKeys(b, flat, blocks, keys);
  };
  const qkv = [intoBlocks(problem.q, width), gathered(problem.k, width), gathered(problem.v, valueWidth)] as const;
  const out = attendOn(problem, qkv, gridOf(problem, blocks), blocks);
  const whole = (x: Value): Value => {
    if (group === 1) return b.reshape(x, { shape: [batch, heads, padded, valueWidth] });
    const split = b.reshape(x, { shape: [batch, kvHeads, count, group, rows, valueWidth] });
    const moved = b.transpose(split, { perm: [0, 1, 3, 2, 4, 5] });
    return b.reshape(moved, { shape: [batch, heads, padded, valueWidth] });
  };
  const result = whole(out);
  return padded === queries ? result : b.slice(result, { axis: 2, start: 0, end: queries });
}

const f64 = (b: Build, value: number) => b.scalar(value, "f64");

/** Dimension as a number at run time. */
export const sizeOf = (b: Build, dim: Dim): Value =>
  typeof dim === "number" ? f64(b, dim) : b.cast(b.size({ of: dim }), { to: "f64" });

const clamped = (b: Build, x: Value, length: Dim): Value =>
  b.min(b.max(x, f64(b, 0)), b.sub(sizeOf(b, length), f64(b, 1)));

/** [batch, keys, width] → [batch, count, keys of a block, width]. */
function gatherKeys(b: Build, x: Value, { places, run, count, width, inside }: Blocks, keys: Dim): Value {
  const [batch, , last] = x.type.shape as [Dim, Dim, Dim];
  if (run === 1) {
    const at = inside ? places : clamped(b, places, keys);
    return b.gather(x, b.cast(at, { to: "i64" }), { axis: 1 });
  }
  const runs = Number(keys) / run;
  const firsts = b.slice(b.reshape(places, { shape: [count, width / run, run] }), { axis: 2, start: 0, end: 1 });
  const numbers = b.floor(b.div(b.reshape(firsts, { shape: [count, width / run] }), f64(b, run)));
  const at = b.cast(clamped(b, numbers, runs), { to: "i64" });
  const found = b.gather(b.reshape(x, { shape: [batch, runs, run, last] }), at, { axis: 1 });
  return b.reshape(found, { shape: [batch, count, width, last] });
}

/** Places on [batch, kvHeads, blocks, group, rows, keys]. */
function gridOf({ b, sizes, seesItself, program }: MaskProblem, blocks: Blocks): GridOfScores {
  const { batch, kvHeads, group, keys } = sizes;
  const { rows, count, width, places, difference, inside, starts } = blocks;
  const along = (size: Dim, axis: number): Value => {
    const shape: Dim[] = [1, 1, 1, 1, 1, 1];
    shape[axis] = size;
    return b.reshape(b.iota({ size, dtype: "f64" }), { shape });
  };
  const first = starts ? b.reshape(starts, { shape: [1, 1, count, 1, 1, 1] }) : b.mul(along(count, 2), f64(b, rows));
  const q = b.add(first, along(rows, 4));
  const k = b.reshape(places, { shape: [1, 1, count, 1, 1, width] });
  const last = b.sub(sizeOf(b, keys), f64(b, 1));
  const valid = inside ? undefined : b.and(b.lessEqual(f64(b, 0), k), b.lessEqual(k, last));
  const h = group === 1 ? along(kvHeads, 1) : b.add(b.mul(along(kvHeads, 1), sizeOf(b, group)), along(group, 3));
  return {
    grid: {
      rank: 6,
      b: along(batch, 0),
      h,
      q: mul(count, rows) === program.lengths.Q ? q : clamped(b, q, program.lengths.Q),
      k: inside ? k : clamped(b, k, keys),
      ...(difference && { difference: b.reshape(difference, { shape: [1, 1, 1, 1, rows, width] }) }),
    },
    shape: [batch, kvHeads, count, group, rows, width],
    valid,
    noEmptyRows: seesItself,
  };
}

/** Attention of blocks: as an `attention` with a bias where the formulas amount to that, else in steps. */
function attendOn(
  problem: MaskProblem,
  [q, k, v]: readonly [Value, Value, Value],
  on: GridOfScores,
  { rows, width }: Blocks,
): Value {
  const { b, program, isPlain, added, seesItself } = problem;
  if (!isPlain || !seesItself) return attendInSteps(b, [q, k, v], program, on);
  const { dtype } = q.type;
  const [batch, kvHeads, count, group] = on.shape as [Dim, Dim, Dim, Dim];
  const bias = addedOn(b, program, dtype, added!, on);
  const { scale } = program;
  if (!bias) return b.attention(q, k, v, { scale });
  const [ofBatch, ofHeads, ofBlocks] = bias.type.shape as [Dim, Dim, Dim];
  const perHead = ofBatch !== 1 || ofHeads !== 1;
  const wanted = perHead
    ? [batch, kvHeads, count, group, rows, width]
    : [1, 1, group === 1 ? ofBlocks : count, group, rows, width];
  const full = b.broadcast(bias, { shape: wanted });
  const [n, m] = [mul(wanted[0]!, wanted[1]!), mul(wanted[2]!, wanted[3]!)];
  return b.attention(q, k, v, b.reshape(full, { shape: [n, m, rows, width] }), { scale });
}

/** Places of keys of blocks that begin `back` keys before the block's own queries: f64 [count, width], and q - k. */
export function slidingPlaces(b: Build, rows: number, count: Dim, width: number, back: number) {
  const starts = b.mul(b.reshape(b.iota({ size: count, dtype: "f64" }), { shape: [count, 1] }), f64(b, rows));
  const within = b.sub(b.reshape(b.iota({ size: width, dtype: "f64" }), { shape: [1, width] }), f64(b, back));
  const row = b.reshape(b.iota({ size: rows, dtype: "f64" }), { shape: [rows, 1] });
  return { places: b.add(starts, within), difference: b.sub(row, within) };
}
