import type { Build } from "../../ir/arena.ts";
import { addedOn, attendInSteps, everything, type GridOfScores, maskOn, type ScoreProgram } from "../../ir/attend.ts";
import { type Dim, mul, sub } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import type { IndexExpr } from "../../ir/index-expr/types.ts";
import { along, clamped, f64, sizeOf } from "./places.ts";
import type { MaskProblem } from "./problem.ts";

/** Keys of every block that are told apart from others: by where they are, or by what masks them. */
export interface Segment {
  readonly width: number;
  /** f64 [count, width], or [1, width] for all blocks alike: places among all keys; some may lie outside, and are not seen. */
  readonly places: Value;
  /** f64 [rows, width]: q - k, where it is the same in all blocks. */
  readonly difference?: Value;
  /** All places lie inside. */
  readonly inside: boolean;
  /** What masks these keys; the problem's own mask where not said. */
  readonly mask?: IndexExpr;
}

/** Queries in blocks, each with keys of its own. */
export interface Blocks {
  /** Queries of a block. */
  readonly rows: number;
  /** How many blocks: they cover the queries, and may go beyond. */
  readonly count: Dim;
  /** No key is in two of them. */
  readonly segments: readonly Segment[];
  /** Keys are gathered in runs of this many, which the places consist of; all keys are a whole number of runs. */
  readonly run: number;
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
  const out = attendOn(problem, qkv, blocks);
  const whole = (x: Value): Value => {
    if (group === 1) return b.reshape(x, { shape: [batch, heads, padded, valueWidth] });
    const split = b.reshape(x, { shape: [batch, kvHeads, count, group, rows, valueWidth] });
    const moved = b.transpose(split, { perm: [0, 1, 3, 2, 4, 5] });
    return b.reshape(moved, { shape: [batch, heads, padded, valueWidth] });
  };
  const result = whole(out);
  return padded === queries ? result : b.slice(result, { axis: 2, start: 0, end: queries });
}

/** [batch, keys, width] → [batch, count, keys of a block, width]. */
function gatherKeys(b: Build, x: Value, { segments, run, count }: Blocks, keys: Dim): Value {
  const [batch, , last] = x.type.shape as [Dim, Dim, Dim];
  const width = segments.reduce((sum, segment) => sum + segment.width, 0);
  const inside = segments.every((segment) => segment.inside);
  const places = joinedLast(
    b,
    segments.map((one) => b.broadcast(one.places, { shape: [count, one.width] })),
  );
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

const joinedLast = (b: Build, values: readonly Value[]): Value =>
  values.length === 1 ? values[0]! : b.concat(...values, { axis: values[0]!.type.shape.length - 1 });

/** Places of one segment on [batch, kvHeads, blocks, group, rows, keys]. */
function gridOf({ b, sizes, seesItself, program }: MaskProblem, blocks: Blocks, segment: Segment): GridOfScores {
  const { batch, kvHeads, group, keys } = sizes;
  const { rows, count, starts } = blocks;
  const { width, places, difference, inside } = segment;
  const on = (size: Dim, axis: number) => along(b, size, axis, 6);
  const first = starts ? b.reshape(starts, { shape: [1, 1, count, 1, 1, 1] }) : b.mul(on(count, 2), f64(b, rows));
  const q = b.add(first, on(rows, 4));
  const k = b.reshape(places, { shape: [1, 1, places.type.shape[0]!, 1, 1, width] });
  const last = b.sub(sizeOf(b, keys), f64(b, 1));
  const valid = inside ? undefined : b.and(b.lessEqual(f64(b, 0), k), b.lessEqual(k, last));
  const h = group === 1 ? on(kvHeads, 1) : b.add(b.mul(on(kvHeads, 1), sizeOf(b, group)), on(group, 3));
  return {
    grid: {
      rank: 6,
      b: on(batch, 0),
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

/** The program with the mask of one segment. */
const masked = (program: ScoreProgram, { mask }: Segment): ScoreProgram =>
  mask === undefined ? program : { ...program, formulas: { ...program.formulas, mask } };

/** Attention of blocks: as an `attention` with a bias where the formulas amount to that, else in steps. */
function attendOn(problem: MaskProblem, [q, k, v]: readonly [Value, Value, Value], blocks: Blocks): Value {
  const { b, program, isPlain, added, seesItself } = problem;
  const { scale } = program;
  const { rows, segments } = blocks;
  const { dtype } = q.type;
  const grids = segments.map((segment) => gridOf(problem, blocks, segment));
  if (!isPlain || !seesItself) return attendInSteps(b, [q, k, v], ...joinedProgram(problem, blocks, grids));
  const biases = segments.map((segment, i) => addedOn(b, masked(program, segment), dtype, added!, grids[i]!));
  if (biases.every((bias) => bias === undefined)) return b.attention(q, k, v, { scale });
  const parts = biases.map((bias) => bias ?? b.reshape(b.scalar(0, dtype), { shape: [1, 1, 1, 1, 1, 1] }));
  const [batch, kvHeads, count, group] = grids[0]!.shape as [Dim, Dim, Dim, Dim];
  const perHead = parts.some(({ type }) => type.shape[0] !== 1 || type.shape[1] !== 1);
  const perBlock = group !== 1 || parts.some(({ type }) => type.shape[2] !== 1);
  const outer = perHead ? [batch, kvHeads, count, group] : [1, 1, perBlock ? count : 1, group];
  const bias = joinedLast(
    b,
    parts.map((part, i) => b.broadcast(part, { shape: [...outer, rows, segments[i]!.width] })),
  );
  const width = bias.type.shape[5]!;
  const shape = [mul(outer[0]!, outer[1]!), mul(outer[2]!, outer[3]!), rows, width];
  return b.attention(q, k, v, b.reshape(bias, { shape }), { scale });
}

/** All segments as one, where scores are computed in steps: the masks of several are known by then. */
function joinedProgram(
  { b, program }: MaskProblem,
  { segments, rows }: Blocks,
  grids: readonly GridOfScores[],
): [ScoreProgram, GridOfScores] {
  const [grid] = grids;
  if (grids.length === 1) return [masked(program, segments[0]!), grid!];
  const count = grid!.shape[2]!;
  const k = joinedLast(
    b,
    segments.map(({ width }, i) => b.broadcast(grids[i]!.grid.k, { shape: [1, 1, count, 1, 1, width] })),
  );
  const masks = segments.map((segment, i) => maskOn(b, masked(program, segment), grids[i]!));
  const outer = [0, 1, 2, 3].map((axis) =>
    masks.some((mask) => mask && mask.type.shape[axis] !== 1) ? grid!.shape[axis]! : 1,
  );
  const valid = joinedLast(
    b,
    masks.map((mask, i) =>
      b.broadcast(mask ?? b.reshape(b.scalar(1, "bool"), { shape: [1, 1, 1, 1, 1, 1] }), {
        shape: [...outer, rows, segments[i]!.width],
      }),
    ),
  );
  const { difference: _difference, ...places } = grid!.grid;
  const shape = [...grid!.shape.slice(0, 5), k.type.shape[5]!];
  const open = { ...program, formulas: { ...program.formulas, mask: everything } };
  return [open, { ...grid!, grid: { ...places, k }, shape, valid }];
}
