import { addedOn, attendInSteps, both, everything, type GridOfScores } from "../../ir/attend.ts";
import { ceilDiv, type Dim, isStatic } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { type MaskFacts, maskFacts } from "../../ir/index-analysis/facts.ts";
import { operandsOf } from "../../ir/index-analysis/logic.ts";
import { boxProgram, type MaskLengths } from "../../ir/index-analysis/program.ts";
import { applied, type IndexExpr, type IndexFormula, partsInOrder } from "../../ir/index-expr/types.ts";
import { attendInBlocks, type Segment } from "./blocks.ts";
import { type Numbers, nodesInBlocks, raggedness, timeOf, widthsFrom } from "./estimate.ts";
import type { Form } from "./form.ts";
import { along, clamped, listed, sizeOf, slidingPlaces } from "./places.ts";
import type { MaskProblem } from "./problem.ts";

const noGlobals = "no keys or queries stand out from a band";
const manyGlobals = "which keys and queries stand out is not known, or they are many";

/** A band with some keys that all queries see and some queries that see all keys: these are computed apart. */
export const globals: Form = {
  name: "mask-globals",
  formula:
    "attention of global places and a band = blocks of queries with the keys within reach and the global ones; global queries apart",
  refuses: [noGlobals, manyGlobals],
  plan: (problem, { numbers }) => {
    const division = divided(problem);
    if (!division) return noGlobals;
    const columns = placesOf(problem, division.columns, "k");
    const rows = placesOf(problem, division.rows, "q");
    if (!columns || !rows || columns.length + rows.length === 0) return manyGlobals;
    const typical = numbers ?? { batch: 1, queries: 4096, keys: 4096 };
    const choice = (at: Numbers) => best(problem, at, division, columns.length, rows.length);
    return {
      time: (at) => choice(at).time,
      build: () => build(problem, division, choice(typical), columns, rows),
    };
  },
};

/** mask = rest and (rows or columns or band), the band within a fixed reach. */
interface Division {
  readonly rest: IndexExpr;
  readonly rows: IndexExpr | undefined;
  readonly columns: IndexExpr | undefined;
  readonly band: IndexExpr;
  readonly back: number;
  readonly ahead: number;
}

function divided({ mask: { expr, tables }, program }: MaskProblem): Division | undefined {
  const facts = operandsOf("and", expr);
  const { lengths } = program;
  for (const [at, fact] of facts.entries()) {
    const found: MaskFacts["globals"] = maskFacts({ expr: fact, tables }, lengths).globals;
    if (!found?.band) continue;
    const rest = facts.filter((_, i) => i !== at).reduce(both, everything);
    const { reach } = maskFacts({ expr: both(rest, found.band.mask.expr), tables }, lengths);
    const { back, ahead } = reach;
    if (typeof back !== "number" || typeof ahead !== "number" || back + ahead < 0) continue;
    const parts = { rows: found.rows?.expr, columns: found.columns?.expr, band: found.band.mask.expr };
    return { rest, ...parts, back, ahead };
  }
  return undefined;
}

const mostPlaces = 512;
/** Beyond any length. */
const longest = 2 ** 28;

/** The places a predicate of q or of k alone holds at, at any length; undefined where they are many or not known. */
function placesOf(
  { mask, program }: MaskProblem,
  predicate: IndexExpr | undefined,
  name: "q" | "k",
): readonly number[] | undefined {
  if (!predicate) return [];
  const own = name === "q" ? "Q" : "K";
  const parts = partsInOrder(predicate);
  if (parts.some((part) => part.kind === "index" && part.name !== name)) return undefined;
  if (parts.some((part) => part.kind === "length" && !isStatic(program.lengths[part.name]))) return undefined;
  // Lengths that are not known are not read.
  const { B, H, Q, K } = program.lengths;
  const lengths = { B: sizeIn(B), H: sizeIn(H), Q: sizeIn(Q), K: sizeIn(K) };
  if (Object.values(lengths).includes(0)) return [];
  return placesWithin({ expr: predicate, tables: mask.tables }, name, lengths[own], lengths);
}

const sizeIn = (length: Dim): number => (isStatic(length) ? length : longest);

function placesWithin(
  formula: IndexFormula,
  name: "q" | "k",
  end: number,
  lengths: MaskLengths,
): readonly number[] | undefined {
  const program = boxProgram(formula, lengths);
  const found: number[] = [];
  const stack: [number, number][] = [[0, end - 1]];
  let budget = 64 * mostPlaces;
  while (stack.length > 0) {
    const [first, last] = stack.pop()!;
    if (budget-- === 0) return undefined;
    const verdict = name === "q" ? program.verdict(first, last, 0, 0) : program.verdict(0, 0, first, last);
    if (verdict === "empty") continue;
    if (verdict === "full") {
      if (found.length + last - first + 1 > mostPlaces) return undefined;
      for (let place = first; place <= last; place++) found.push(place);
    } else if (first === last) return undefined;
    else {
      const middle = (first + last) >> 1;
      stack.push([middle + 1, last], [first, middle]);
    }
  }
  return found;
}

const heights = [16, 32, 64, 128, 256];

function best(problem: MaskProblem, numbers: Numbers, { back, ahead }: Division, columns: number, rows: number) {
  const { heads, kvHeads, width, valueWidth } = problem.sizes;
  const widths = Number(width) + Number(valueWidth);
  const sizes = heights.flatMap((height) =>
    widthsFrom(columns + back + height + ahead).map((keys) => ({ height, keys })),
  );
  const choices = sizes.map(({ height, keys }) => {
    const count = Math.ceil(numbers.queries / height);
    const pairs = count * height * keys;
    const moved = numbers.queries * Number(heads) * (rows > 0 ? 3 : 1);
    const gathered = numbers.batch * widths * (2 * count * keys * Number(kvHeads) + moved);
    const time = timeOf(problem, numbers, {
      pairs,
      held: pairs,
      maskElements: pairs,
      cut: false,
      sliced: 0,
      gathered,
      nodes: nodesInBlocks(problem, 24),
    });
    return { height, before: keys - columns - height - ahead, time: time * raggedness(keys) };
  });
  const apart = rows * numbers.keys;
  const dense = timeOf(problem, numbers, {
    pairs: apart,
    held: apart,
    maskElements: 0,
    cut: false,
    sliced: 0,
    gathered: 0,
    nodes: 6,
  });
  const choice = choices.reduce((least, one) => (one.time < least.time ? one : least));
  return { ...choice, time: choice.time + (rows > 0 ? dense : 0) };
}

function build(
  problem: MaskProblem,
  { rest, columns: isColumn, band, ahead }: Division,
  { height, before }: { readonly height: number; readonly before: number },
  columns: readonly number[],
  rows: readonly number[],
): Value {
  const { b, sizes } = problem;
  const count = ceilDiv(sizes.queries, height);
  const width = before + height + ahead;
  const apart = isColumn ? applied("not", isColumn) : everything;
  const window = {
    ...{ width, inside: false, mask: both(rest, both(band, apart)) },
    ...slidingPlaces(b, height, count, width, before),
  };
  const global = columns.length > 0 ? [globalSegment(problem, columns, rest)] : [];
  const out = attendInBlocks(problem, { rows: height, count, segments: [...global, window], run: 1 });
  return rows.length === 0 ? out : withRows(problem, out, rows, rest);
}

/** Keys all queries see, as keys of every block. */
function globalSegment({ b, sizes }: MaskProblem, columns: readonly number[], mask: IndexExpr): Segment {
  const { keys } = sizes;
  const places = listed(b, columns, [1, columns.length]);
  return { width: columns.length, places, inside: isStatic(keys), mask };
}

/** The result with the rows of global queries in their places: these see all keys. */
function withRows(problem: MaskProblem, out: Value, rows: readonly number[], mask: IndexExpr): Value {
  const { b, sizes } = problem;
  const { queries } = sizes;
  const apart = attentionOfRows(problem, rows, mask);
  const all = b.concat(out, apart, { axis: 2 });
  const own = b.iota({ size: queries, dtype: "f64" });
  const column = b.reshape(own, { shape: [queries, 1] });
  const after = b.add(b.iota({ size: rows.length, dtype: "f64" }), sizeOf(b, queries));
  const none = b.scalar(-1, "f64");
  const match = b.equal(column, listed(b, rows, [1, rows.length]));
  const moved = b.reduceMax(b.select(match, b.reshape(after, { shape: [1, rows.length] }), none), { axes: [1] });
  const at = b.select(b.less(moved, b.scalar(0, "f64")), own, moved);
  return b.gather(all, b.cast(at, { to: "i64" }), { axis: 2 });
}

/** Attention of some queries with all keys. */
function attentionOfRows(problem: MaskProblem, rows: readonly number[], mask: IndexExpr): Value {
  const { b, sizes, program, isPlain, seesItself } = problem;
  const { queries, keys, batch, heads } = sizes;
  const given = listed(b, rows, [rows.length]);
  const places = isStatic(queries) ? given : clamped(b, given, queries);
  const q = b.gather(problem.q, b.cast(places, { to: "i64" }), { axis: 2 });
  const on: GridOfScores = {
    grid: {
      ...{ rank: 4, b: along(b, batch, 0, 4), h: along(b, heads, 1, 4), k: along(b, keys, 3, 4) },
      q: b.reshape(places, { shape: [1, 1, rows.length, 1] }),
    },
    shape: [batch, heads, rows.length, keys],
    noEmptyRows: seesItself,
  };
  const own = { ...program, formulas: { ...program.formulas, mask } };
  if (!isPlain || !seesItself) return attendInSteps(b, [q, problem.k, problem.v], own, on);
  const bias = addedOn(b, own, q.type.dtype, problem.added!, on);
  const full = bias && b.broadcast(bias, { shape: [...bias.type.shape.slice(0, 2), rows.length, keys] });
  return b.attention(q, problem.k, problem.v, ...(full ? [full] : []), { scale: program.scale });
}
