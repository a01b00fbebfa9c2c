import type { Build } from "../../ir/arena.ts";
import { addedOn, attendInSteps, everything, type GridOfScores } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { runsOf } from "../../ir/index-analysis/block-structure.ts";
import { maskFacts } from "../../ir/index-analysis/facts.ts";
import { constant, score as theScore } from "../../ir/index-expr/types.ts";
import { type Numbers, timeOf, tooManyScores } from "./estimate.ts";
import type { Form } from "./form.ts";
import type { MaskProblem } from "./problem.ts";
import { openLengths, structureAt } from "./structure.ts";

/** Keys [start, end). */
export interface Run {
  readonly start: number;
  readonly end: number;
}

/** Queries [start, end) with the keys any of them sees. */
export interface Part extends Run {
  readonly keys: readonly Run[];
  /** All of the queries see all of the keys. */
  readonly full: boolean;
}

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
        keys: runs.reduce<readonly Run[]>(
          (joined, { start, end }) => union(joined, [{ start: start * rows, end: Math.min(end * rows, keys) }]),
          [],
        ),
      };
    });
    const parts = partition(problem, lines, rows, batch);
    return {
      time: ({ batch }) => parts.reduce((sum, part) => sum + timeOfPart(problem, part, batch), 0),
      build: () => build(problem, parts),
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
function union(x: readonly Run[], y: readonly Run[]): readonly Run[] {
  const joined: Run[] = [];
  for (const run of [...x, ...y].sort((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last && run.start <= last.end)
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, run.end) };
    else joined.push(run);
  }
  return joined;
}

const sameRuns = (x: readonly Run[], y: readonly Run[]): boolean =>
  x.length === y.length && x.every((run, i) => run.start === y[i]!.start && run.end === y[i]!.end);

const countOf = (runs: readonly Run[]): number => runs.reduce((sum, { start, end }) => sum + end - start, 0);

/** Rows joined to one part at most. */
const mostRows = 32;

/** Consecutive rows as parts, so that all together take the least time; by dynamic programming from the last row. */
function partition(
  problem: MaskProblem,
  lines: readonly { readonly full: boolean; readonly keys: readonly Run[] }[],
  rows: number,
  batch: number,
): readonly Part[] {
  const queries = Number(problem.sizes.queries);
  const best: { readonly time: number; readonly part: Part | undefined; readonly next: number }[] = [];
  best[lines.length] = { time: 0, part: undefined, next: lines.length };
  for (let i = lines.length - 1; i >= 0; i--) {
    let keys: readonly Run[] = [];
    let full = true;
    for (let j = i; j < Math.min(lines.length, i + mostRows); j++) {
      const line = lines[j]!;
      full &&= line.full && (j === i || sameRuns(keys, line.keys));
      keys = union(keys, line.keys);
      const part: Part = { start: i * rows, end: Math.min((j + 1) * rows, queries), keys, full };
      const time = timeOfPart(problem, part, batch) + best[j + 1]!.time;
      if (best[i] === undefined || time < best[i]!.time) best[i] = { time, part, next: j + 1 };
    }
  }
  const parts: Part[] = [];
  for (let i = 0; i < lines.length; i = best[i]!.next) parts.push(best[i]!.part!);
  return parts;
}

/** Nanoseconds of one part. */
export function timeOfPart(problem: MaskProblem, { start, end, keys, full }: Part, batch: number): number {
  const { kvHeads, heads, width, valueWidth } = problem.sizes;
  const [rows, columns] = [end - start, countOf(keys)];
  const widths = Number(width) + Number(valueWidth);
  const numbers: Numbers = { batch, queries: rows, keys: columns };
  return timeOf(problem, numbers, {
    pairs: rows * columns,
    held: rows * columns,
    maskElements: full ? 0 : rows * columns,
    copied: batch * widths * (columns * Number(kvHeads) + rows * Number(heads)),
    nodes: 5 + keys.length,
  });
}

function build(problem: MaskProblem, parts: readonly Part[]): Value {
  const shared = sharedBiases(problem, parts);
  const values = parts.map((part) => partOf(problem, part, shared.get(part)));
  return values.length === 1 ? values[0]! : problem.b.concat(...values, { axis: 2 });
}

/**
 * What is added to the scores of parts that differ in their first key only, where that depends on the distance alone:
 * it is computed for the widest of them and is the end of that for the others.
 */
function sharedBiases(problem: MaskProblem, parts: readonly Part[]): ReadonlyMap<Part, Value> {
  const { b, facts, seesItself, program, isPlain, added } = problem;
  const shared = new Map<Part, Value>();
  if (!facts.ofDistance || !seesItself || program.normaliser !== "softmax" || program.formulas.prob !== theScore())
    return shared;
  const own = isPlain ? added! : constant(0);
  if (own !== constant(0) && !maskFacts({ expr: own, tables: program.tables }).ofDistance) return shared;
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const [run, ...others] = part.keys;
    if (!run || others.length > 0 || part.full) continue;
    const key = `${part.end - part.start} ${part.end - run.end}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  for (const group of groups.values()) {
    const most = Math.max(...group.map(({ keys }) => countOf(keys)));
    const widest = group.find(({ keys }) => countOf(keys) === most)!;
    const bias = addedOn(b, program, problem.q.type.dtype, own, gridOf(problem, widest))!;
    for (const part of group) shared.set(part, b.slice(bias, { axis: 3, start: most - countOf(part.keys), end: most }));
  }
  return shared;
}

/** The attention of one part; zero where its queries see no key. */
export function partOf(problem: MaskProblem, part: Part, shared?: Value): Value {
  const { b, sizes, isPlain, added, seesItself, program } = problem;
  const { batch, heads, valueWidth } = sizes;
  const { dtype } = problem.q.type;
  const rows = part.end - part.start;
  if (part.keys.length === 0) return b.broadcast(b.scalar(0, dtype), { shape: [batch, heads, rows, valueWidth] });
  const q = b.slice(problem.q, { axis: 2, start: part.start, end: part.end });
  const [k, v] = [problem.k, problem.v].map((x) => joined(b, x, part.keys)) as [Value, Value];
  const { scale, formulas } = program;
  const own = part.full ? { ...program, formulas: { ...formulas, mask: everything } } : program;
  const on = gridOf(problem, part);
  if (!isPlain || !(seesItself || part.full)) return attendInSteps(b, [q, k, v], own, { ...on, hiding: shared });
  const bias = shared ?? addedOn(b, own, dtype, added!, on);
  return b.attention(q, k, v, ...(bias ? [bias] : []), { scale });
}

const joined = (b: Build, x: Value, runs: readonly Run[]): Value => {
  const pieces = runs.map(({ start, end }) => b.slice(x, { axis: 2, start, end }));
  return pieces.length === 1 ? pieces[0]! : b.concat(...pieces, { axis: 2 });
};

/** The places of a part's queries and keys: [batch, heads, queries, keys]. */
function gridOf({ b, sizes, seesItself }: MaskProblem, { start, end, keys, full }: Part): GridOfScores {
  const { batch, heads } = sizes;
  const [rows, columns] = [end - start, countOf(keys)];
  const along = (size: Dim, axis: number): Value => {
    const shape: Dim[] = [1, 1, 1, 1];
    shape[axis] = size;
    return b.reshape(b.iota({ size, dtype: "f64" }), { shape });
  };
  const from = (value: Value, first: number) => (first === 0 ? value : b.add(value, b.scalar(first, "f64")));
  const places = keys.map((run) => from(along(run.end - run.start, 3), run.start));
  const one = keys.length === 1 ? b.sub(along(rows, 2), along(columns, 3)) : undefined;
  return {
    grid: {
      rank: 4,
      b: along(batch, 0),
      h: along(heads, 1),
      q: from(along(rows, 2), start),
      k: places.length === 1 ? places[0]! : b.concat(...places, { axis: 3 }),
      ...(one && { difference: from(one, start - keys[0]!.start) }),
    },
    shape: [batch, heads, rows, columns],
    noEmptyRows: seesItself || full,
  };
}
