import { add, type Dim, divideExact, floorDiv, mul, sub } from "../dim.ts";
import { indexEvaluator } from "../index-expr/evaluate.ts";
import { type IndexExpr, type IndexTable, index, type LengthName, partsInOrder } from "../index-expr/types.ts";
import { both, type Distances, either, lesser, type ReachContext, unbounded } from "./distances.ts";
import { combined, integralParts, type LinearForm, linearForms } from "./integral.ts";
import { readsOf } from "./logic.ts";
import { rangeTable } from "./range-table.ts";

/** A form as text that is equal where forms of q and k are. */
export const textOf = ({ constant, terms }: LinearForm): string =>
  [constant, ...[...terms].map(([part, c]) => `${c}·${part.kind === "index" ? part.name : "?"}`)].join(" ");

/** Whether a part is 0 or more, knowing which forms are. */
export function isNatural(x: IndexExpr, natural: ReadonlySet<string>, cx: ReachContext): boolean {
  if (x.kind === "apply" && (x.fn === "abs" || x.fn === "mod"))
    return x.fn === "abs" || isNatural(x.args[0]!, natural, cx);
  const form = formOf(x, cx);
  if (!form) return false;
  const indices = [...form.terms].every(([part]) => part.kind === "index");
  return (
    indices && (natural.has(textOf(form)) || (form.constant >= 0 && [...form.terms.values()].every((c) => c >= 0)))
  );
}

/** An integral expression as a linear form. */
export function formOf(expr: IndexExpr, { tables }: ReachContext): LinearForm | undefined {
  return linearForms(expr, integralParts(expr, tables)).get(expr);
}

/** Its negative. */
export const opposite = ({ constant, terms }: LinearForm): LinearForm => ({
  constant: -constant,
  terms: new Map([...terms].map(([part, c]) => [part, -c])),
});

/** Splits a form into c·(q - k), a rest of lengths and numbers, and other parts. */
export function splitForm({ constant, terms }: LinearForm, { lengths }: ReachContext) {
  let rest: Dim = constant;
  let [ofQ, ofK] = [0, 0];
  const others: [IndexExpr, number][] = [];
  for (const [part, c] of terms) {
    if (part.kind === "index" && part.name === "q") ofQ = c;
    else if (part.kind === "index" && part.name === "k") ofK = c;
    else if (part.kind === "length") rest = add(rest, mul(c, lengths[part.name]));
    // A term that cancelled says nothing, but that the part is a number.
    else if (c !== 0) others.push([part, c]);
  }
  return { rest, ofQ, ofK, others };
}

const floorOf = (a: Dim, b: number): Dim => divideExact(a, b) ?? floorDiv(a, b);

/** Bounds from form ≤ limit. */
export function atMost(form: LinearForm, limit: Dim, cx: ReachContext): Distances {
  const { rest, ofQ, ofK, others } = splitForm(form, cx);
  const room = sub(limit, rest);
  if (others.length === 0) {
    const [back, ahead] = [farthest(ofQ, ofK, room), farthest(ofK, ofQ, room)];
    if (!cx.clamped) return { back, ahead, stride: undefined };
    const [ofRows, ofColumns] = [upTo(cx.lengths.Q, ofQ, ofK, room), upTo(cx.lengths.K, ofK, ofQ, room)];
    return { back: lesser(back, ofRows), ahead: lesser(ahead, ofColumns), stride: undefined };
  }
  for (const [part, by] of others) {
    const split = parted(form, part, by, limit, cx);
    if (split) return split;
  }
  const ofRows = typeof limit === "number" ? rowBound(form, limit, cx) : unbounded;
  return both(ofRows, relaxed(form, others, limit, cx));
}

/** Bound of x - y from c·x + d·y ≤ room, for naturals x and y. */
function farthest(c: number, d: number, room: Dim): Dim | undefined {
  if (c <= 0) return undefined;
  // x ≤ room / c.
  if (d >= 0) return floorOf(room, c);
  // -d·(x - y) ≤ room - (c + d)·x.
  return c + d >= 0 ? floorOf(room, -d) : undefined;
}

/** The same from d·y ≤ room with negative d, which is a least y, for x < length where that is a number. */
function upTo(length: Dim, c: number, d: number, room: Dim): Dim | undefined {
  if (c !== 0 || d >= 0 || typeof length !== "number") return undefined;
  return add(length - 1, floorOf(room, -d));
}

/** Bounds where one part is an absolute value, a square, or the greater or lesser of two. */
function parted(form: LinearForm, part: IndexExpr, by: number, limit: Dim, cx: ReachContext): Distances | undefined {
  if (part.kind !== "apply") return undefined;
  const less: LinearForm = {
    constant: form.constant,
    terms: new Map([...form.terms].filter(([term]) => term !== part)),
  };
  const instead = (arg: IndexExpr, sign: 1 | -1, at: ReachContext = cx) => {
    const one = formOf(arg, cx);
    const whole = one && scaledForm(one, sign * by);
    const sum = whole && combined(less, whole, 1);
    return sum ? atMost(sum, limit, at) : unbounded;
  };
  const one = (arg: IndexExpr) => instead(arg, 1, { ...cx, clamped: true });
  const [x, y] = part.args as [IndexExpr, IndexExpr];
  if (part.fn === "abs" && by > 0) return both(instead(x, 1), instead(x, -1));
  if (part.fn === "min" || part.fn === "max") {
    const all = (part.fn === "max") === by > 0;
    return all ? both(instead(x, 1), instead(y, 1)) : either(one(x), one(y));
  }
  const { rest, ofQ, ofK, others } = splitForm(form, cx);
  const room = sub(limit, rest);
  if (part.fn !== "mul" || x !== y || by <= 0 || ofQ !== 0 || ofK !== 0 || others.length > 1) return undefined;
  const inner = formOf(x, cx);
  if (!inner || typeof room !== "number") return undefined;
  const root = Math.floor(Math.sqrt(Math.max(0, room / by)));
  return both(atMost(inner, root, cx), atMost(opposite(inner), root, cx));
}

const scaledForm = ({ constant, terms }: LinearForm, by: number): LinearForm => ({
  constant: constant * by,
  terms: new Map([...terms].map(([part, c]) => [part, c * by])),
});

/** Bounds where the other parts are taken as anything within their own: n·⌊x / n⌋ lies within n - 1 below x. */
function relaxed(
  form: LinearForm,
  others: readonly (readonly [IndexExpr, number])[],
  limit: Dim,
  cx: ReachContext,
): Distances {
  const tiles = others.map(([part]) => tileOf(part));
  const n = tiles.find((tile) => tile !== undefined)?.size ?? 1;
  let sum: LinearForm | undefined = { constant: 0, terms: new Map() };
  let least: Dim = 0;
  for (const [part, c] of form.terms) {
    const at = others.findIndex(([other]) => other === part);
    const tile = at < 0 ? undefined : tiles[at];
    const inner = tile?.size === n ? formOf(tile.of, cx) : undefined;
    if (at < 0) sum = sum && combined(sum, { constant: 0, terms: new Map([[part, n * c]]) }, 1);
    else if (inner) {
      sum = sum && combined(sum, scaledForm(inner, c), 1);
      if (c > 0) least = add(least, -c * (n - 1));
    } else {
      const bounds = boundsOf(part, cx);
      const bound = c > 0 ? bounds?.[0] : bounds?.[1];
      if (bound === undefined) return unbounded;
      least = add(least, mul(n * c, bound));
    }
  }
  if (!sum || [...sum.terms.keys()].some((part) => others.some(([other]) => other === part))) return unbounded;
  return atMost(sum, sub(mul(n, sub(limit, form.constant)), least), cx);
}

/** Least and greatest value of a part. */
function boundsOf(part: IndexExpr, cx: ReachContext): readonly [Dim | undefined, Dim | undefined] | undefined {
  if (part.kind === "index") {
    const length = cx.lengths[part.name.toUpperCase() as LengthName];
    return [0, sub(length, 1)];
  }
  if (part.kind === "lookup") {
    const table = cx.tables[part.table];
    if (table?.kind !== "constant" || table.data.length === 0) return undefined;
    const out = new Float64Array(2);
    rangeTable(table).bounds(0, table.data.length - 1, out);
    return Number.isFinite(out[0]) && Number.isFinite(out[1]) ? [out[0], out[1]] : undefined;
  }
  if (part.kind !== "apply") return undefined;
  if (part.fn === "mod" && part.args[1]!.kind === "number") {
    const n = Math.abs(part.args[1]!.value);
    return n >= 1 ? [isNatural(part.args[0]!, new Set(), cx) ? 0 : 1 - n, n - 1] : undefined;
  }
  if (part.fn === "abs") return [0, undefined];
  return undefined;
}

/** x and n of ⌊x / n⌋. */
export function tileOf(expr: IndexExpr): { readonly of: IndexExpr; readonly size: number } | undefined {
  if (expr.kind === "apply" && expr.fn === "shiftRight") {
    const [x, n] = expr.args as [IndexExpr, IndexExpr];
    const bits = n.kind === "number" ? n.value : -1;
    return x.kind === "index" && Number.isInteger(bits) && bits >= 0 && bits < 31
      ? { of: x, size: 2 ** bits }
      : undefined;
  }
  if (expr.kind !== "apply" || (expr.fn !== "floor" && expr.fn !== "trunc")) return undefined;
  const inner = expr.args[0]!;
  if (inner.kind !== "apply" || inner.fn !== "div") return undefined;
  const [of, n] = inner.args as [IndexExpr, IndexExpr];
  // Truncation makes the tile around 0 almost twice as wide where x may be negative.
  if (expr.fn === "trunc" && of.kind !== "index") return undefined;
  return n.kind === "number" && Number.isInteger(n.value) && n.value > 0 ? { of, size: n.value } : undefined;
}

/** Bounds from k ≥ f(q) or k ≤ f(q) (and q against f(k)) where f reads a constant table of q: tried for every q. */
function rowBound(form: LinearForm, limit: number, { tables }: ReachContext): Distances {
  for (const name of ["q", "k"] as const) {
    const other = index(name === "q" ? "k" : "q");
    const c = form.terms.get(other) ?? 0;
    const rest = new Map([...form.terms].filter(([part]) => part !== other));
    const mask = [...rest.keys()].reduce((reads, part) => reads | readsOf(part), 0);
    const only = name === "q" ? 1 : 2;
    if (Math.abs(c) !== 1 || mask !== only || [...rest.keys()].some((part) => part.kind === "length")) continue;
    const length = tableLength([...rest.keys()], name, tables);
    if (length === undefined) continue;
    let bound = Number.NEGATIVE_INFINITY;
    const evaluators = [...rest].map(([expr, by]) => [indexEvaluator({ expr, tables }), by] as const);
    for (let i = 0; i < length; i++) {
      let value = form.constant;
      for (const [evaluate, by] of evaluators) value += by * evaluate({ b: 0, h: 0, q: i, k: i });
      // c · other + value ≤ limit; NaN never is.
      const edge = (limit - value) * c;
      if (!Number.isNaN(edge)) bound = Math.max(bound, c < 0 ? i - edge : edge - i);
    }
    if (bound === Number.NEGATIVE_INFINITY) continue;
    // c < 0: other ≥ edge, so i - other ≤ i - edge.
    const isBack = c < 0 === (name === "q");
    return isBack ? { ...unbounded, back: bound } : { ...unbounded, ahead: bound };
  }
  return unbounded;
}

/** Functions whose answer is NaN where an argument is. */
const passNaN = new Set<string>([
  "add",
  "sub",
  "mul",
  "div",
  "mod",
  "neg",
  "min",
  "max",
  "abs",
  "floor",
  "ceil",
  "trunc",
]);

/** Length of a constant table the index itself is looked up in: beyond, the formula is NaN and the comparison false. */
function tableLength(parts: readonly IndexExpr[], name: "q" | "k", tables: readonly IndexTable[]): number | undefined {
  let length: number | undefined;
  for (const expr of new Set(parts.flatMap(partsInOrder))) {
    if (expr.kind === "length" || expr.kind === "score") return undefined;
    if (expr.kind === "apply" && !passNaN.has(expr.fn)) return undefined;
    if (expr.kind !== "lookup") continue;
    const table = tables[expr.table];
    if (table?.kind !== "constant") return undefined;
    if (expr.at[0] === index(name) && expr.at.length === 1)
      length = Math.min(length ?? Number.POSITIVE_INFINITY, table.data.length);
  }
  return length;
}
