import { add, atLeast, type Dim, divideExact, floorDiv, max, min, mul, sub } from "../dim.ts";
import { indexEvaluator } from "../index-expr/evaluate.ts";
import { applied, type IndexExpr, type IndexTable, index, type LengthName, partsInOrder } from "../index-expr/types.ts";
import { inIntegers } from "./in-integers.ts";
import { combined, integralParts, type LinearForm, linearForms } from "./integral.ts";
import { operandsOf, readsOf, rewrite } from "./logic.ts";
import { rangeTable } from "./range-table.ts";
import { type SharedTable, sharedTable } from "./shared-table.ts";

/**
 * How far from the diagonal a mask can be true: `back` bounds q - k, `ahead` bounds k - q. Undefined: only the lengths
 * bound it. Bounds always hold; a mask that is never true may have any.
 */
export interface Reach {
  readonly back: Dim | undefined;
  readonly ahead: Dim | undefined;
}

/** Residue every distance has: q - k ≡ residue (mod modulus). */
export interface Stride {
  readonly modulus: number;
  readonly residue: number;
}

export interface Distances extends Reach {
  readonly stride: Stride | undefined;
}

export interface ReachContext {
  readonly tables: readonly IndexTable[];
  readonly lengths: Readonly<Record<LengthName, Dim>>;
  /** One side of a clamp: near the ends of the sequence the lengths bound the distance. */
  readonly clamped?: true;
}

const unbounded: Distances = { back: undefined, ahead: undefined, stride: undefined };

/** Bounds of the distances at which a mask can be true. */
export function distancesOf(mask: IndexExpr, cx: ReachContext): Distances {
  if (mask.kind === "apply" && mask.fn === "select") {
    const [c, x, y] = mask.args as [IndexExpr, IndexExpr, IndexExpr];
    return either(distancesOf(applied("and", c, x), cx), distancesOf(applied("and", applied("not", c), y), cx));
  }
  const alternatives = operandsOf("or", mask);
  if (alternatives.length > 1) return alternatives.map((part) => distancesOf(part, cx)).reduce(either);
  const facts = operandsOf("and", mask);
  if (facts.length === 1) return ofOne(facts[0]!, cx);
  const known = related(facts, cx);
  return tightened(
    facts
      .map((fact, i) => (isChoice(fact) ? distancesOf(known[i]!, cx) : both(ofOne(fact, cx), ofOne(known[i]!, cx))))
      .reduce(both),
  );
}

const isChoice = (fact: IndexExpr) =>
  operandsOf("or", fact).length > 1 || (fact.kind === "apply" && fact.fn === "select");

const lesser = (a: Dim | undefined, b: Dim | undefined) => (a === undefined ? b : b === undefined ? a : min(a, b));
const greater = (a: Dim | undefined, b: Dim | undefined) =>
  a === undefined || b === undefined ? undefined : max(a, b);

const both = (a: Distances, b: Distances): Distances => ({
  back: lesser(a.back, b.back),
  ahead: lesser(a.ahead, b.ahead),
  stride: a.stride ?? b.stride,
});

const either = (a: Distances, b: Distances): Distances => ({
  back: greater(a.back, b.back),
  ahead: greater(a.ahead, b.ahead),
  stride:
    a.stride && b.stride && a.stride.modulus === b.stride.modulus && a.stride.residue === b.stride.residue
      ? a.stride
      : undefined,
});

/** The largest distances within the bounds that have the residue. */
function tightened({ back, ahead, stride }: Distances): Distances {
  if (!stride) return { back, ahead, stride };
  const { modulus, residue } = stride;
  const down = (bound: Dim | undefined, rest: number) =>
    typeof bound === "number" ? bound - ((((bound - rest) % modulus) + modulus) % modulus) : bound;
  return { back: down(back, residue), ahead: down(ahead, -residue), stride };
}

/**
 * The facts of a conjunction with what others say put in: where a part of k equals one of q it is replaced by it, and
 * x % n of an x that is not negative becomes x - n·⌊x / n⌋; so sums cancel that do only within a block or document.
 */
function related(facts: readonly IndexExpr[], cx: ReachContext): readonly IndexExpr[] {
  const natural = new Set<string>();
  for (const fact of facts) {
    const atLeastZero = fact.kind === "apply" && fact.fn === "greaterEqual" ? differenceOf(fact, cx) : undefined;
    if (atLeastZero) natural.add(textOf(atLeastZero));
  }
  const expanded = facts.map((fact) =>
    rewrite(fact, (part) => {
      if (part.kind !== "apply" || part.fn !== "mod") return part;
      const [x, n] = part.args as [IndexExpr, IndexExpr];
      if (n.kind !== "number" || !(n.value > 0) || !isNatural(x, natural, cx)) return part;
      return applied("sub", x, applied("mul", n, applied("floor", applied("div", x, n))));
    }),
  );
  const equal = new Map<IndexExpr, IndexExpr>();
  for (const fact of expanded) {
    if (fact.kind !== "apply" || fact.fn !== "equal") continue;
    const [x, y] = fact.args as [IndexExpr, IndexExpr];
    if (readsOf(x) === 1 && readsOf(y) === 2) equal.set(y, x);
    if (readsOf(x) === 2 && readsOf(y) === 1) equal.set(x, y);
  }
  return expanded.map((fact) => rewrite(fact, (part) => equal.get(part) ?? part));
}

const textOf = ({ constant, terms }: LinearForm): string =>
  [constant, ...[...terms].map(([part, c]) => `${c}·${part.kind === "index" ? part.name : "?"}`)].join(" ");

function isNatural(x: IndexExpr, natural: ReadonlySet<string>, cx: ReachContext): boolean {
  if (x.kind === "apply" && (x.fn === "abs" || x.fn === "mod"))
    return x.fn === "abs" || isNatural(x.args[0]!, natural, cx);
  const form = formOf(x, cx);
  if (!form) return false;
  const indices = [...form.terms].every(([part]) => part.kind === "index");
  return (
    indices && (natural.has(textOf(form)) || (form.constant >= 0 && [...form.terms.values()].every((c) => c >= 0)))
  );
}

function formOf(expr: IndexExpr, { tables }: ReachContext): LinearForm | undefined {
  return linearForms(expr, integralParts(expr, tables)).get(expr);
}

/** x - y of a comparison of integers. */
function differenceOf(expr: IndexExpr & { readonly kind: "apply" }, cx: ReachContext): LinearForm | undefined {
  const [x, y] = expr.args.map((arg) => formOf(arg, cx));
  return x && y ? combined(x, y, -1) : undefined;
}

const negated = { less: "greaterEqual", lessEqual: "greater", greater: "lessEqual", greaterEqual: "less" } as const;

/** Bounds a single comparison gives. Integers only: NaN makes a `not` of a comparison something else. */
function ofOne(expr: IndexExpr, cx: ReachContext): Distances {
  if (expr.kind !== "apply") return unbounded;
  let { fn } = expr;
  let comparison: IndexExpr & { readonly kind: "apply" } = expr;
  if (fn === "not") {
    const inner = expr.args[0]!;
    if (inner.kind !== "apply" || !(inner.fn in negated) || mayBeNaN(inner)) return unbounded;
    fn = negated[inner.fn as keyof typeof negated];
    comparison = inner;
  }
  let form = differenceOf(comparison, cx);
  if (!form && fn === expr.fn) {
    comparison = inIntegers(expr, fn);
    form = differenceOf(comparison, cx);
    fn = comparison.fn;
  }
  // Of NaN a comparison is false and its negation true.
  if (!form || (expr.fn === "not" && [...form.terms.values()].includes(0))) return unbounded;
  switch (fn) {
    case "less":
      return atMost(form, -1, cx);
    case "lessEqual":
      return atMost(form, 0, cx);
    case "greater":
      return atMost(opposite(form), -1, cx);
    case "greaterEqual":
      return atMost(opposite(form), 0, cx);
    case "equal":
      return [
        atMost(form, 0, cx),
        atMost(opposite(form), 0, cx),
        sameTile(comparison, cx),
        congruent(comparison, cx),
      ].reduce(both);
    default:
      return unbounded;
  }
}

/** A part may be NaN: outside of a table, or divided by 0. */
const mayBeNaN = (expr: IndexExpr): boolean =>
  partsInOrder(expr).some((part) => {
    if (part.kind === "lookup") return true;
    if (part.kind !== "apply" || (part.fn !== "mod" && part.fn !== "div")) return false;
    const by = part.args[1]!;
    return by.kind !== "number" || by.value === 0;
  });

const opposite = ({ constant, terms }: LinearForm): LinearForm => ({
  constant: -constant,
  terms: new Map([...terms].map(([part, c]) => [part, -c])),
});

/** Splits a form into c·(q - k), a rest of lengths and numbers, and other parts. */
function splitForm({ constant, terms }: LinearForm, { lengths }: ReachContext) {
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
function atMost(form: LinearForm, limit: Dim, cx: ReachContext): Distances {
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

/** Bounds from ⌊x / n⌋ = ⌊y / n⌋ or table[q] = table[k]. */
function sameTile({ args }: IndexExpr & { readonly kind: "apply" }, cx: ReachContext): Distances {
  const [x, y] = args as [IndexExpr, IndexExpr];
  const shared = sharedTable(x, y, cx.tables);
  if (shared) return withinTable(shared, cx);
  const [a, b] = [tileOf(x), tileOf(y)];
  if (!a || !b || a.size !== b.size) return unbounded;
  const [p, r] = [formOf(a.of, cx), formOf(b.of, cx)];
  const difference = p && r ? combined(p, r, -1) : undefined;
  if (!difference) return unbounded;
  // |x - y| ≤ n - 1.
  return both(atMost(difference, a.size - 1, cx), atMost(opposite(difference), a.size - 1, cx));
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

/** Bounds of the distance of two positions at which a table is equal. */
function withinTable({ elements, goesOn }: SharedTable, { lengths }: ReachContext): Distances {
  const first = new Map<number, number>();
  let span = 0;
  elements.forEach((value, i) => {
    const known = first.get(value);
    if (known === undefined) first.set(value, i);
    else span = Math.max(span, i - known);
  });
  if (!goesOn) return { back: span, ahead: span, stride: undefined };
  const start = first.get(elements.at(-1)!)! + 1;
  return { back: max(span, sub(lengths.Q, start)), ahead: max(span, sub(lengths.K, start)), stride: undefined };
}

/** (q - k) % m = r, or |q - k| % m = 0. */
function congruent({ args }: IndexExpr & { readonly kind: "apply" }, cx: ReachContext): Distances {
  const [x, y] = args as [IndexExpr, IndexExpr];
  if (x.kind !== "apply" || x.fn !== "mod" || y.kind !== "number" || !Number.isInteger(y.value)) return unbounded;
  const [of, m] = x.args as [IndexExpr, IndexExpr];
  if (m.kind !== "number" || !Number.isInteger(m.value) || m.value < 1) return unbounded;
  const plain = of.kind === "apply" && of.fn === "abs" ? of.args[0]! : of;
  if (plain !== of && y.value !== 0) return unbounded;
  const form = formOf(plain, cx);
  if (!form) return unbounded;
  const { rest, ofQ, ofK, others } = splitForm(form, cx);
  if (others.length > 0 || ofQ !== -ofK || Math.abs(ofQ) !== 1 || typeof rest !== "number") return unbounded;
  const modulus = m.value;
  const residue = ((((y.value - rest) * ofQ) % modulus) + modulus) % modulus;
  return { ...unbounded, stride: { modulus, residue } };
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
  for (const part of parts)
    rewrite(part, (expr) => {
      if (expr.kind === "length" || expr.kind === "score") length = -1;
      if (expr.kind === "apply" && !passNaN.has(expr.fn)) length = -1;
      if (expr.kind !== "lookup") return expr;
      const table = tables[expr.table];
      if (table?.kind !== "constant") length = -1;
      else if (expr.at[0] === index(name) && expr.at.length === 1 && length !== -1)
        length = Math.min(length ?? Number.POSITIVE_INFINITY, table.data.length);
      return expr;
    });
  return length === -1 ? undefined : length;
}

/** No key after its query is seen. */
export const isCausal = ({ ahead }: Reach): boolean => ahead !== undefined && atLeast(0, ahead);
