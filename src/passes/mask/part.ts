import type { GridOfScores } from "../../ir/attend.ts";
import { type Dim, sub, sum } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
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

export const lengthOf = ({ start, end }: Run): Dim => sub(end, start);
export const widthOf = ({ keys }: Part): Dim => sum(keys.map(lengthOf));

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
