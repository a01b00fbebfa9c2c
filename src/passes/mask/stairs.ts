import { type Dim, floorDiv, isStatic, mul } from "../../ir/dim.ts";
import type { Numbers } from "./estimate.ts";
import type { Form } from "./form.ts";
import { attendInParts, type Part } from "./parts.ts";
import type { MaskProblem } from "./problem.ts";
import { timeOfPart } from "./split.ts";

const notCausal = "a query may see later keys";
const knownLengths = "the lengths are known: parts are cut to measure";
const oblong = "queries and keys differ in length";

/** Queries in a fixed number of equal parts, each with the keys up to its end, for causal masks at open lengths. */
export const stairs: Form = {
  name: "mask-stairs",
  formula: "causal attention = parts of the queries, each with the keys up to its end",
  refuses: [notCausal, knownLengths, oblong],
  plan: (problem, { numbers }) => {
    const { queries, keys } = problem.sizes;
    if (!problem.facts.causal) return notCausal;
    if (isStatic(queries)) return knownLengths;
    if (queries !== keys) return oblong;
    const count = numbers ? bestCount(problem, numbers) : 8;
    return {
      least: count,
      time: (at) => time(problem, at, count),
      build: () => attendInParts(problem, partsOf(queries, floorDiv(queries, count), count)),
    };
  },
};

const counts = [2, 3, 4, 6, 8, 12, 16, 24, 32];

/** How many parts take the least time; none is lower than a row. */
function bestCount(problem: MaskProblem, numbers: Numbers): number {
  const times = counts.map((count) => (count > numbers.queries ? Infinity : time(problem, numbers, count)));
  return counts[times.indexOf(Math.min(...times))]!;
}

/** `count` parts; the last takes what is left. */
function partsOf<D extends Dim>(queries: D, height: D, count: number): Part<D>[] {
  const border = (i: number) => (i === count ? queries : (mul(height, i) as D));
  return Array.from({ length: count }, (_, i) => {
    const end = border(i + 1);
    return { start: border(i), end, keys: [{ start: 0 as D, end }], full: false };
  });
}

const time = (problem: MaskProblem, { queries, batch }: Numbers, count: number): number =>
  partsOf<number>(queries, Math.floor(queries / count), count).reduce(
    (sum, part) => sum + timeOfPart(problem, part, batch),
    0,
  );
