import { runsOf } from "../../ir/index-analysis/block-structure.ts";
import { formulaNodes, type Numbers, timeOf, tooManyScores } from "./estimate.ts";
import type { Form } from "./form.ts";
import type { Part, Run } from "./part.ts";
import { attendInParts } from "./parts.ts";
import type { MaskProblem } from "./problem.ts";
import { openLengths, structureAt } from "./structure.ts";

const allSeen = "no part of the queries is spared any keys";

/**
 * Queries in unequal parts, each with the runs of keys it sees, at known lengths: causal masks, documents, prefixes; and
 * any mask where all scores at once are too many.
 */
export const split: Form = {
  name: "mask-split",
  formula: "attention = parts of the queries, each with the keys it sees",
  refuses: [openLengths, allSeen],
  plan: (problem, { numbers }) => {
    const { queries, keys } = problem.sizes;
    if (typeof queries !== "number" || typeof keys !== "number") return openLengths;
    const rows = heightFor(queries);
    const structure = structureAt(problem, rows);
    if (typeof structure === "string") return structure;
    const batch = numbers?.batch ?? 1;
    if (structure.empty === 0 && !tooManyScores(problem, { batch, queries, keys })) return allSeen;
    const lines = Array.from({ length: structure.rows }, (_, i) => {
      const runs = runsOf(structure, i);
      return {
        full: runs.every((run) => run.class === "full"),
        keys: runs.reduce<readonly Run<number>[]>(
          (joined, { start, end }) => union(joined, [{ start: start * rows, end: Math.min(end * rows, keys) }]),
          [],
        ),
      };
    });
    const parts = partition(problem, lines, rows, batch);
    return {
      holds: true,
      time: ({ batch }) => parts.reduce((sum, part) => sum + timeOfPart(problem, part, batch), 0),
      build: () => attendInParts(problem, parts),
    };
  },
};

/** Height of the rows parts are made of. */
const heightFor = (queries: number): number => {
  if (queries <= 256) return 32;
  if (queries <= 8192) return 64;
  return queries <= 16_384 ? 128 : 512;
};

/** Runs of both, those that touch joined. */
function union(x: readonly Run<number>[], y: readonly Run<number>[]): readonly Run<number>[] {
  const joined: Run<number>[] = [];
  for (const run of [...x, ...y].sort((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last && run.start <= last.end)
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, run.end) };
    else joined.push(run);
  }
  return joined;
}

const sameRuns = (x: readonly Run<number>[], y: readonly Run<number>[]): boolean =>
  x.length === y.length && x.every((run, i) => run.start === y[i]!.start && run.end === y[i]!.end);

const countOf = (runs: readonly Run<number>[]): number => runs.reduce((sum, { start, end }) => sum + end - start, 0);

/** Rows joined to one part at most. */
const mostRows = 32;

/** Consecutive rows as parts, so that all together take the least time; by dynamic programming from the last row. */
function partition(
  problem: MaskProblem,
  lines: readonly { readonly full: boolean; readonly keys: readonly Run<number>[] }[],
  rows: number,
  batch: number,
): readonly Part<number>[] {
  const queries = Number(problem.sizes.queries);
  const best: { readonly time: number; readonly part: Part<number> | undefined; readonly next: number }[] = [];
  best[lines.length] = { time: 0, part: undefined, next: lines.length };
  for (let i = lines.length - 1; i >= 0; i--) {
    let keys: readonly Run<number>[] = [];
    let full = true;
    for (let j = i; j < Math.min(lines.length, i + mostRows); j++) {
      const line = lines[j]!;
      full &&= line.full && (j === i || sameRuns(keys, line.keys));
      keys = union(keys, line.keys);
      const part: Part<number> = { start: i * rows, end: Math.min((j + 1) * rows, queries), keys, full };
      const time = timeOfPart(problem, part, batch) + best[j + 1]!.time;
      if (best[i] === undefined || time < best[i]!.time) best[i] = { time, part, next: j + 1 };
    }
  }
  const parts: Part<number>[] = [];
  for (let i = 0; i < lines.length; i = best[i]!.next) parts.push(best[i]!.part!);
  return parts;
}

/** Nanoseconds of one part. */
export function timeOfPart(problem: MaskProblem, { start, end, keys, full }: Part<number>, batch: number): number {
  const { kvHeads, heads, width, valueWidth } = problem.sizes;
  const [rows, columns] = [end - start, countOf(keys)];
  const widths = Number(width) + Number(valueWidth);
  const numbers: Numbers = { batch, queries: rows, keys: columns };
  const copied = columns === problem.sizes.keys ? 0 : columns;
  return timeOf(problem, numbers, {
    pairs: rows * columns,
    held: rows * columns,
    maskElements: full ? 0 : rows * columns,
    cut: true,
    sliced: batch * widths * (copied * Number(kvHeads) + rows * Number(heads)),
    gathered: 0,
    nodes: 5 + keys.length + (full ? 0 : formulaNodes(problem)),
  });
}
