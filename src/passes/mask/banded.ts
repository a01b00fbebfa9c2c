import { add, ceilDiv, type Dim, isStatic, sub } from "../../ir/dim.ts";
import { attendInBlocks } from "./blocks.ts";
import { type Numbers, nodesInBlocks, raggedness, roundedUp, timeOf, widthsFrom } from "./estimate.ts";
import type { Form } from "./form.ts";
import { slidingPlaces } from "./places.ts";
import type { MaskProblem } from "./problem.ts";

const noBand = "no bound is known of how far a query sees";
const symbolicBand = "how far a query sees depends on a length";

/** Queries in equal blocks, each with the keys its queries can reach, for masks of bounded reach at any length. */
export const banded: Form = {
  name: "mask-banded",
  formula: "attention of a band = attention of blocks of queries, each with the keys within reach",
  refuses: [noBand, symbolicBand],
  plan: (problem, { numbers }) => {
    const { reach } = problem.facts;
    if (reach.back === undefined || reach.ahead === undefined) return noBand;
    // Where the queries are the last of the keys, how far they see is counted from their places among these.
    const shift = isStatic(reach.ahead) ? 0 : sub(problem.sizes.keys, problem.sizes.queries);
    const [back, ahead] = [add(reach.back, shift), sub(reach.ahead, shift)];
    if (!isStatic(back) || !isStatic(ahead)) return symbolicBand;
    // A mask that is never true may have any reach.
    if (back + ahead < 0) return noBand;
    const choice = (at: Numbers) => best(problem, at, back, ahead);
    const typical = numbers ?? { batch: 1, queries: 4096, keys: 4096 };
    return {
      time: (at) => choice(at).time,
      build: () => build(problem, choice(typical), shift),
    };
  },
};

interface Choice {
  readonly rows: number;
  readonly width: number;
  /** Keys of a block before its first query. */
  readonly before: number;
  readonly run: number;
  readonly time: number;
}

const heights = [16, 32, 64, 96, 128, 192, 256, 384, 512];

/** The block height that takes the least time. Whole blocks of keys are gathered where the length allows it. */
function best(problem: MaskProblem, numbers: Numbers, back: number, ahead: number): Choice {
  const { keys } = problem.sizes;
  const choices = heights.flatMap((rows): Choice[] => {
    const aligned = typeof keys === "number" && keys % rows === 0;
    const run = aligned ? rows : 1;
    const after = roundedUp(ahead, run);
    return widthsFrom(roundedUp(back, run) + rows + after).map((width) => {
      const time = timeInBlocks(problem, numbers, rows, width, run) * raggedness(width);
      return { rows, width, before: width - rows - after, run, time };
    });
  });
  return choices.reduce((least, choice) => (choice.time < least.time ? choice : least));
}

function timeInBlocks(problem: MaskProblem, numbers: Numbers, rows: number, width: number, run: number): number {
  const count = Math.ceil(numbers.queries / rows);
  const { kvHeads, heads, width: d, valueWidth } = problem.sizes;
  const [perKey, perQuery] = [Number(kvHeads) * (Number(d) + Number(valueWidth)), Number(heads)];
  const padded = run > 1 ? 0 : perQuery * (Number(d) + Number(valueWidth)) * numbers.queries;
  return timeOf(problem, numbers, {
    pairs: count * rows * width,
    held: count * rows * width,
    maskElements: count * rows * width,
    cut: false,
    sliced: 0,
    gathered: numbers.batch * (2 * count * width * perKey + padded),
    nodes: nodesInBlocks(problem, 16),
  });
}

function build(problem: MaskProblem, { rows, width, before, run }: Choice, shift: Dim) {
  const { b, sizes } = problem;
  const count = ceilDiv(sizes.queries, rows);
  const sliding = slidingPlaces(b, rows, count, width, sub(before, shift));
  return attendInBlocks(problem, { rows, count, segments: [{ width, ...sliding, inside: false }], run });
}
