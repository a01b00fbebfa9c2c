import { biasOn, both, everything, maskOn } from "../../ir/attend.ts";
import { add, sub } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { seesItself } from "../../ir/index-analysis/diagonal.ts";
import { operandsOf, readsOf } from "../../ir/index-analysis/logic.ts";
import type { IndexExpr } from "../../ir/index-expr/types.ts";
import { gridOf, type Part } from "./part.ts";
import type { MaskProblem } from "./problem.ts";

/** A weight of e^-40 of the greatest is far below what a float32 can tell from 0 beside it. */
const depth = 40;
/** Far above any score, and far below the spacing of float32 at the number that hides a key. */
const deepest = 1e30;

/** Conditions of a mask on keys alone, where every query sees the key of its own place but for those; else undefined. */
function ofKeysAlone({ program, mask, sizes }: MaskProblem): IndexExpr | undefined {
  const [keys, others] = [true, false].map((wanted) =>
    operandsOf("and", program.formulas.mask)
      .filter((condition) => ((readsOf(condition) & 1) === 0) === wanted)
      .reduce(both, everything),
  ) as [IndexExpr, IndexExpr];
  return seesItself({ ...mask, expr: others }, sizes.queries, sizes.keys) ? keys : undefined;
}

/** Whether `heldBias` can tell what a query sees. */
export const canHoldBias = (problem: MaskProblem): boolean => ofKeysAlone(problem) !== undefined;

/**
 * What is added to the scores of a part, [batch, heads, 1, keys], held up where it falls further than it matters. Let r be the
 * least of it among the part's own keys and s no less than the absolute value of any score: where each of its queries sees its
 * own key, a key with less than r - 2 s - 40 weighs less than e^-40 of the greatest, and still does with just that. Nothing is
 * held where one of these keys is hidden.
 */
export function heldBias(problem: MaskProblem, part: Part, bias: Value): Value {
  const { b } = problem;
  const own = ownBias(problem);
  if (own?.type.shape[2] !== 1 || own.type.shape[3] === 1) return bias;
  const before = sub(problem.sizes.keys, problem.sizes.queries);
  const [start, end] = [add(part.start, before), add(part.end, before)];
  const least = b.reduceMin(b.slice(own, { axis: 3, start, end }), { axes: [-1], keepDims: true });
  return b.max(bias, b.sub(least, fallOf(problem)));
}

/** What is added for each key, far below it where the key is hidden from all. */
function ownBias(problem: MaskProblem): Value | undefined {
  const { b, program, sizes, added, q } = problem;
  const { dtype } = q.type;
  const on = gridOf(problem, { start: 0, end: sizes.queries, keys: [{ start: 0, end: sizes.keys }], full: false });
  const bias = biasOn(b, program, dtype, added!, on);
  const mask = maskOn(b, { ...program, formulas: { ...program.formulas, mask: ofKeysAlone(problem)! } }, on);
  return bias && mask ? b.select(mask, bias, b.scalar(-deepest, dtype)) : bias;
}

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
