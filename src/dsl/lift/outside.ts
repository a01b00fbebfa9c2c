import type { Dim } from "../../ir/dim.ts";
import { type Box, classifyBox } from "../../ir/index-analysis/classify.ts";
import { boxProgram } from "../../ir/index-analysis/program.ts";
import { indexEvaluator } from "../../ir/index-expr/evaluate.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr, type IndexName, index, partsInOrder, score } from "../../ir/index-expr/types.ts";
import { always, type Lifting } from "./lifted.ts";

/** A length that is not known: the shortest at which q and k can differ both ways. */
const least = 2;
/** Parts of formulas looked at for one function; beyond, an index is taken to be within. */
const mostEffort = 50_000;
const names = ["b", "h", "q", "k"] as const;
const lengthOf = { b: "B", h: "H", q: "Q", k: "K" } as const;

/**
 * Indices for which `at` is reached and is no index of an axis of `size` elements, in words; undefined where none are
 * known: what a tensor decides is not known before the model runs. Where lengths are open, only what is below 0 counts:
 * it is so at every length, and a table may be meant for the lengths it reaches to.
 */
export function pointOutside(cx: Lifting, at: IndexExpr, size: Dim): { where: string; index: number } | undefined {
  if (at.kind === "number" && at.value < 0 && cx.conditions.length === 0) return { where: "here", index: at.value };
  const conditions = reachable(cx.conditions);
  if (!conditions || readsScore(at)) return undefined;
  const read = names.filter((name) => [at, ...conditions].some((expr) => partsInOrder(expr).includes(index(name))));
  const closed = typeof size === "number" && read.every((name) => typeof cx.lengths[lengthOf[name]] === "number");
  if (!closed && cx.bounds(at).low >= 0) return undefined;
  const low = simplified("less", at, constant(0));
  const wrong = closed ? simplified("or", low, simplified("greaterEqual", at, constant(size))) : low;
  const expr = conditions.reduce((all, condition) => simplified("and", condition, all), wrong);
  cx.effort += partsInOrder(expr).length;
  if (cx.effort > mostEffort) return undefined;
  const count = (dim: Dim) => (typeof dim === "number" ? dim : least);
  const lengths = {
    B: count(cx.lengths.B),
    H: count(cx.lengths.H),
    Q: count(cx.lengths.Q),
    K: count(cx.lengths.K),
  };
  const point = pointOf(cx, expr, lengths);
  if (!point) return undefined;
  const found = indexEvaluator({ expr: at, tables: cx.tables })({ ...point, lengths });
  const where = read.map((name) => `${name} = ${point[name]}`).join(", ");
  return { where: where ? `at ${where}` : "here", index: found };
}

const readsScore = (expr: IndexExpr) => partsInOrder(expr).includes(score());

/** The conditions without those that only a score decides; undefined where score and indices decide together. */
function reachable(conditions: readonly IndexExpr[]): readonly IndexExpr[] | undefined {
  const all = conditions.flatMap(conjuncts);
  const scored = all.filter(readsScore);
  const reads = (expr: IndexExpr) => partsInOrder(expr).some(({ kind }) => kind === "index" || kind === "lookup");
  return scored.some(reads) ? undefined : all.filter((expr) => !scored.includes(expr));
}

function conjuncts(root: IndexExpr): readonly IndexExpr[] {
  const found: IndexExpr[] = [];
  const pending = [root];
  for (let expr = pending.pop(); expr; expr = pending.pop()) {
    if (expr.kind === "apply" && expr.fn === "and") pending.push(...expr.args);
    else if (expr !== always) found.push(expr);
  }
  return found;
}

type Point = Readonly<Record<IndexName, number>>;

/** Indices for which a condition is proven to hold: the box that has some is halved. */
function pointOf(
  cx: Lifting,
  expr: IndexExpr,
  lengths: { readonly B: number; readonly H: number; readonly Q: number; readonly K: number },
): Point | undefined {
  const program = boxProgram({ expr, tables: cx.tables }, lengths);
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
