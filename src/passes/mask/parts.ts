import type { Build } from "../../ir/arena.ts";
import { addedOn, attendInSteps, biasOn, everything, type GridOfScores, maskOn, staysFinite } from "../../ir/attend.ts";
import { type Dim, evaluate, show, sub, sum, symbolsOf } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { maskFacts } from "../../ir/index-analysis/facts.ts";
import { constant, score as theScore } from "../../ir/index-expr/types.ts";
import { along, sizeOf } from "./places.ts";
import type { MaskProblem } from "./problem.ts";

/** Keys [start, end). */
export interface Run<D extends Dim = Dim> {
  readonly start: D;
  readonly end: D;
}

/** Queries [start, end) with the keys any of them sees. */
export interface Part<D extends Dim = Dim> extends Run<D> {
  readonly keys: readonly Run<D>[];
  /** All of the queries see all of the keys. */
  readonly full: boolean;
}

const lengthOf = ({ start, end }: Run): Dim => sub(end, start);
const widthOf = ({ keys }: Part): Dim => sum(keys.map(lengthOf));

/** Attention part by part, in the order of the queries. */
export function attendInParts(problem: MaskProblem, parts: readonly Part[]): Value {
  const shared = sharedBiases(problem, parts);
  const values = parts.map((part) => partOf(problem, part, shared.get(part)));
  return values.length === 1 ? values[0]! : problem.b.concat(...values, { axis: 2 });
}

/**
 * What is added to the scores of parts that differ in their first key only, where that depends on the distance alone:
 * it is computed for the widest of them and is the end of that for the others.
 */
function sharedBiases(problem: MaskProblem, parts: readonly Part[]): ReadonlyMap<Part, Value> {
  const { b, facts, seesItself, program, isPlain, isSteep, added } = problem;
  const shared = new Map<Part, Value>();
  if (!facts.ofDistance || !seesItself || program.normaliser !== "softmax" || program.formulas.prob !== theScore())
    return shared;
  if (!isPlain && !staysFinite(program)) return shared;
  const own = isPlain && !isSteep ? added! : constant(0);
  if (own !== constant(0) && !maskFacts({ expr: own, tables: program.tables }).ofDistance) return shared;
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const [run, ...others] = part.keys;
    if (!run || others.length > 0 || part.full) continue;
    const key = `${show(lengthOf(part))} ${show(sub(part.end, run.end))}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  for (const group of groups.values()) {
    const widest = group.reduce((most, part) => (typical(widthOf(part)) > typical(widthOf(most)) ? part : most));
    const end = widthOf(widest);
    const bias = addedOn(b, program, problem.q.type.dtype, own, gridOf(problem, widest))!;
    for (const part of group) shared.set(part, b.slice(bias, { axis: 3, start: sub(end, widthOf(part)), end }));
  }
  return shared;
}

/** A size to compare sizes by, where lengths are open. */
const typical = (dim: Dim): number => evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, 4096])));

/** The attention of one part; zero where its queries see no key. */
export function partOf(problem: MaskProblem, part: Part, shared?: Value): Value {
  const { b, sizes, isPlain, isSteep, added, seesItself, program } = problem;
  const { batch, heads, valueWidth } = sizes;
  const { dtype } = problem.q.type;
  const rows = lengthOf(part);
  if (part.keys.length === 0) return b.broadcast(b.scalar(0, dtype), { shape: [batch, heads, rows, valueWidth] });
  const q = b.slice(problem.q, { axis: 2, start: part.start, end: part.end });
  const [k, v] = [problem.k, problem.v].map((x) => joined(b, x, part.keys)) as [Value, Value];
  const { scale, formulas } = program;
  const own = part.full ? { ...program, formulas: { ...formulas, mask: everything } } : program;
  const on = gridOf(problem, part);
  if (!isPlain || isSteep)
    return attendInSteps(b, [q, k, v], own, { ...on, hiding: shared, ...(isSteep && { steep: true }) });
  // Rows that see nothing are told by a mask, not by a bias.
  const [mask, bias] =
    seesItself || part.full
      ? [undefined, shared ?? addedOn(b, own, dtype, added!, on)]
      : [maskOn(b, own, on), biasOn(b, own, dtype, added!, on)];
  return b.attention(q, k, v, ...[mask, bias].filter((extra) => extra !== undefined), { scale });
}

const joined = (b: Build, x: Value, runs: readonly Run[]): Value => {
  const pieces = runs.map(({ start, end }) => b.slice(x, { axis: 2, start, end }));
  return pieces.length === 1 ? pieces[0]! : b.concat(...pieces, { axis: 2 });
};

/** The places of a part's queries and keys: [batch, heads, queries, keys]. */
export function gridOf({ b, sizes, seesItself }: MaskProblem, { start, end, keys, full }: Part): GridOfScores {
  const { batch, heads } = sizes;
  const [rows, columns] = [sub(end, start), sum(keys.map(lengthOf))];
  const on = (size: Dim, axis: number) => along(b, size, axis, 4);
  const from = (value: Value, first: Dim) => (first === 0 ? value : b.add(value, sizeOf(b, first)));
  const places = keys.map((run) => from(on(lengthOf(run), 3), run.start));
  return {
    grid: {
      rank: 4,
      b: on(batch, 0),
      h: on(heads, 1),
      q: from(on(rows, 2), start),
      k: places.length === 1 ? places[0]! : b.concat(...places, { axis: 3 }),
      cuts: { q: [{ start, end }], k: keys },
    },
    shape: [batch, heads, rows, columns],
    noEmptyRows: seesItself || full,
  };
}
