import type { Build } from "../../ir/arena.ts";
import { maskOn } from "../../ir/attend.ts";
import { atLeast, type Dim, sub } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { gridOf, type Part } from "./part.ts";
import type { MaskProblem } from "./problem.ts";

/** A weight of e^-40 of the greatest is far below what a float32 can tell from 0 beside it. */
const depth = 40;
/** Far above any score, and far below the spacing of float32 at the number that hides a key. */
const deepest = 1e30;

/**
 * What is added to the scores of a part, [batch, heads, 1, keys], held up where it falls further than it matters. Let r be the
 * least of it among the last keys of the part, as many as there are queries, and s no less than the absolute value of any
 * score: a key with less than r - 2 s - 40 weighs less than e^-40 of the greatest in every row that sees one of those, and
 * still does with just that. Nothing is held where a row of the part may see none of them.
 */
export function heldBias(problem: MaskProblem, part: Part, bias: Value, mask: Value | undefined): Value {
  const { b } = problem;
  const height = sub(part.end, part.start);
  const run = part.keys.at(-1)!;
  if (bias.type.shape[2] !== 1 || bias.type.shape[3] === 1 || !atLeast(sub(run.end, run.start), height)) return bias;
  const number = (x: number) => b.scalar(x, bias.type.dtype);
  const least = b.reduceMin(lastOf(b, bias, height), { axes: [-1], keepDims: true });
  const floor = b.sub(least, fallOf(problem));
  const sees = everyRowSees(problem, part, mask);
  return b.max(bias, sees ? b.select(sees, floor, number(-deepest)) : floor);
}

const lastOf = (b: Build, x: Value, count: Dim): Value => {
  const end = x.type.shape[3]!;
  return end === 1 ? x : b.slice(x, { axis: 3, start: sub(end, count), end });
};

/** 2 s + 40, a number for each head, |q · k| being at most |q| |k|. */
function fallOf({ b, q, k, sizes, program }: MaskProblem): Value {
  const number = (x: number) => b.scalar(x, q.type.dtype);
  const greatest = (x: Value) => {
    const squares = b.reduceSum(b.mul(x, x), { axes: [-1], keepDims: true });
    return b.reduceMax(squares, { axes: sizes.group === 1 ? [-2] : [1, -2], keepDims: true });
  };
  const product = b.sqrt(b.mul(greatest(q), greatest(k)));
  const fall = b.add(b.mul(product, number(2 * Math.abs(program.scale))), number(depth));
  // NaN compares with nothing, and is neither of the two afterwards.
  const above = b.select(b.less(fall, number(deepest)), fall, number(deepest));
  return b.select(b.less(number(depth), above), above, number(depth));
}

/** Bool [batch, 1, 1, 1]: whether each query of a part sees one of its last keys; undefined where that is so by itself. */
function everyRowSees(problem: MaskProblem, part: Part, given: Value | undefined): Value | undefined {
  const { b, program, sizes, seesItself } = problem;
  const isOwn = sub(part.keys.at(-1)!.end, part.end) === sub(sizes.keys, sizes.queries);
  const mask = part.full || (seesItself && isOwn) ? undefined : (given ?? maskOn(b, program, gridOf(problem, part)));
  if (!mask) return undefined;
  const last = b.cast(lastOf(b, mask, sub(part.end, part.start)), { to: "i32" });
  const rows = b.reduceMax(last, { axes: [-1], keepDims: true });
  return b.cast(b.reduceMin(rows, { axes: [1, -2], keepDims: true }), { to: "bool" });
}
