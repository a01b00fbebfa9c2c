import { add, atLeast, type Dim, floorDiv, isStatic, mul, sub } from "../../ir/dim.ts";
import type { Numbers } from "./estimate.ts";
import type { Form } from "./form.ts";
import type { Part } from "./part.ts";
import { attendInParts } from "./parts.ts";
import type { MaskProblem } from "./problem.ts";
import { timeOfPart } from "./split.ts";

const notCausal = "a query may see later keys";
const knownLengths = "the lengths are known: parts are cut to measure";
const oblong = "queries and keys differ in length, and the queries are not known to be the last of the keys";

/**
 * Queries in a fixed number of equal parts, each with the keys up to its end, for causal masks at open lengths. Where there
 * are more keys than queries, as after a cache, the queries are the last of them.
 */
export const stairs: Form = {
  name: "mask-stairs",
  formula: "causal attention = parts of the queries, each with the keys up to its end",
  refuses: [notCausal, knownLengths, oblong],
  plan: (problem, { numbers }) => {
    const { queries, keys } = problem.sizes;
    const { ahead } = problem.facts.reach;
    const before = ahead !== undefined && atLeast(0, ahead) ? 0 : sub(keys, queries);
    if (ahead === undefined || !atLeast(before, ahead)) return notCausal;
    if (isStatic(queries)) return knownLengths;
    if (!atLeast(keys, queries)) return oblong;
    const isAfterCache = before !== 0;
    const count = numbers ? bestCount(problem, numbers, isAfterCache) : 8;
    return {
      ...{ least: count, holds: true },
      time: (at) => time(problem, at, count, isAfterCache),
      build: () => attendInParts(problem, partsOf(queries, floorDiv(queries, count), count, before)),
    };
  },
};

const counts = [2, 3, 4, 6, 8, 12, 16, 24, 32];

/** How many parts take the least time; none is lower than a row. */
function bestCount(problem: MaskProblem, numbers: Numbers, isAfterCache: boolean): number {
  const times = counts.map((count) =>
    count > numbers.queries ? Infinity : time(problem, numbers, count, isAfterCache),
  );
  return counts[times.indexOf(Math.min(...times))]!;
}

/** `count` parts; the last takes what is left. `before` keys are ahead of the first query. */
function partsOf<D extends Dim>(queries: D, height: D, count: number, before: D): Part<D>[] {
  const border = (i: number) => (i === count ? queries : (mul(height, i) as D));
  return Array.from({ length: count }, (_, i) => {
    const end = border(i + 1);
    return { start: border(i), end, keys: [{ start: 0 as D, end: add(end, before) as D }], full: false };
  });
}

function time(problem: MaskProblem, { queries, keys, batch }: Numbers, count: number, isAfterCache: boolean): number {
  const parts = partsOf<number>(queries, Math.floor(queries / count), count, isAfterCache ? keys - queries : 0);
  return parts.reduce((sum, part) => sum + timeOfPart(problem, part, batch), 0);
}
