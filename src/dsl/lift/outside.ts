import type { Dim } from "../../ir/dim.ts";
import { type Box, classifyBox } from "../../ir/index-analysis/classify.ts";
import { boxProgram } from "../../ir/index-analysis/program.ts";
import { indexEvaluator } from "../../ir/index-expr/evaluate.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import {
  constant,
  type IndexExpr,
  type IndexFormula,
  type IndexName,
  type IndexTable,
  index,
  joinedBy,
  type LengthName,
  lengthOf,
  partsInOrder,
  readsScore,
} from "../../ir/index-expr/types.ts";
import { always, type Lifting } from "./lifted.ts";

/** A length that is not known: the shortest at which q and k can differ both ways. */
const least = 2;
/** Parts of formulas looked at for one function; beyond, an index is taken to be within. */
const mostEffort = 50_000;
const names = ["b", "h", "q", "k"] as const;
/** How many batches, query heads, queries and keys there are. */
export type Sizes = Readonly<Record<LengthName, number>>;

/** An index, and where it is reached. */
export interface Reached {
  readonly at: IndexExpr;
  readonly conditions: readonly IndexExpr[];
  readonly tables: readonly IndexTable[];
}

interface Found {
  /** The indices, in words. */
  readonly where: string;
  readonly index: number;
}

/**
 * Indices for which an index is reached and is none of an axis of `size` elements; undefined where none are known: what
 * a tensor decides is not known before the model runs. Without `size`, only what is below 0 counts.
 */
export function pointOutside(
  { at, conditions, tables }: Reached,
  size: number | undefined,
  lengths: Sizes,
): Found | undefined {
  const reached = reachable(conditions);
  if (!reached || readsScore(at)) return undefined;
  const low = simplified("less", at, constant(0));
  const wrong = size === undefined ? low : simplified("or", low, simplified("greaterEqual", at, constant(size)));
  const expr = reached.reduce((all, condition) => simplified("and", condition, all), wrong);
  const point = pointOf({ expr, tables }, lengths);
  if (!point) return undefined;
  const found = indexEvaluator({ expr: at, tables })({ ...point, lengths });
  const read = names.filter((name) => [at, ...reached].some((part) => partsInOrder(part).includes(index(name))));
  const where = read.map((name) => `${name} = ${point[name]}`).join(", ");
  return { where: where ? `at ${where}` : "here", index: found };
}

/**
 * As `pointOutside` for what is being lifted. Where lengths are open, what is below 0 is so at every length; a table may
 * be meant for the lengths it reaches to.
 */
export function pointOutsideNow(cx: Lifting, at: IndexExpr, size: Dim): Found | undefined {
  const reached = { at, conditions: cx.conditions, tables: cx.tables };
  const parts = [at, ...cx.conditions].flatMap(partsInOrder);
  cx.effort += parts.length;
  if (cx.effort > mostEffort) return undefined;
  const read = names.filter((name) => parts.includes(index(name)));
  const closed = typeof size === "number" && read.every((name) => typeof cx.lengths[lengthOf[name]] === "number");
  if (!closed && cx.bounds(at).low >= 0) return undefined;
  const count = (dim: Dim) => (typeof dim === "number" ? dim : least);
  const { B, H, Q, K } = cx.lengths;
  return pointOutside(reached, closed ? size : undefined, { B: count(B), H: count(H), Q: count(Q), K: count(K) });
}

/** The conditions without those that only a score decides; undefined where score and indices decide together. */
function reachable(conditions: readonly IndexExpr[]): readonly IndexExpr[] | undefined {
  const all = conditions.flatMap((condition) => joinedBy("and", condition)).filter((expr) => expr !== always);
  const scored = all.filter(readsScore);
  const reads = (expr: IndexExpr) => partsInOrder(expr).some(({ kind }) => kind === "index" || kind === "lookup");
  return scored.some(reads) ? undefined : all.filter((expr) => !scored.includes(expr));
}

type Point = Readonly<Record<IndexName, number>>;

/** Indices for which a condition is proven to hold: the box that has some is halved. */
function pointOf(formula: IndexFormula, lengths: Sizes): Point | undefined {
  const program = boxProgram(formula, lengths);
  let box: Required<Box> = {
    b: [0, lengths.B - 1],
    h: [0, lengths.H - 1],
    q: [0, lengths.Q - 1],
    k: [0, lengths.K - 1],
  };
  const holdsIn = (part: Required<Box>) => {
    const found = classifyBox(program, part);
    return found.class !== "empty" && found.because === "proven" ? found.class : undefined;
  };
  for (let found = holdsIn(box); found !== "full"; ) {
    if (!found) return undefined;
    const axis = names.reduce((x, y) => (box[y][1] - box[y][0] > box[x][1] - box[x][0] ? y : x));
    const [first, last] = box[axis];
    const middle = Math.floor((first + last) / 2);
    const halves = [
      { ...box, [axis]: [first, middle] as const },
      { ...box, [axis]: [middle + 1, last] as const },
    ];
    const next = halves.find((half) => (found = holdsIn(half)));
    if (!next) return undefined;
    box = next;
  }
  return { b: box.b[0], h: box.h[0], q: box.q[0], k: box.k[0] };
}
