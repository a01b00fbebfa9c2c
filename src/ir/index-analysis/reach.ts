import { add, atLeast, type Dim, divideExact, floorDiv, max, min, mul, sub } from "../dim.ts";
import { indexEvaluator } from "../index-expr/evaluate.ts";
import { applied, type IndexExpr, type IndexTable, index, type LengthName } from "../index-expr/types.ts";
import { combined, integralParts, type LinearForm, linearForms } from "./integral.ts";
import { operandsOf, readsOf, rewrite } from "./logic.ts";

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
}

const unbounded: Distances = { back: undefined, ahead: undefined, stride: undefined };

/** Bounds of the distances at which a mask can be true. */
export function distancesOf(mask: IndexExpr, cx: ReachContext): Distances {
  const alternatives = operandsOf("or", mask);
  if (alternatives.length > 1) return alternatives.map((part) => distancesOf(part, cx)).reduce(either);
  const facts = operandsOf("and", mask);
  if (facts.length === 1) return ofOne(facts[0]!, cx);
  const known = related(facts, cx);
  return tightened(
    facts
      .map((fact, i) =>
        operandsOf("or", fact).length > 1 ? distancesOf(known[i]!, cx) : both(ofOne(fact, cx), ofOne(known[i]!, cx)),
      )
      .reduce(both),
  );
}

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
    if (inner.kind !== "apply" || !(inner.fn in negated) || hasLookup(inner)) return unbounded;
    fn = negated[inner.fn as keyof typeof negated];
    comparison = inner;
  }
  const form = differenceOf(comparison, cx);
  // Of NaN a comparison is false and its negation true.
  if (!form || (fn !== expr.fn && [...form.terms.values()].includes(0))) return unbounded;
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

const hasLookup = (expr: IndexExpr): boolean => {
  let found = false;
  rewrite(expr, (part) => {
    if (part.kind === "lookup") found = true;
    return part;
  });
  return found;
};

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
function atMost(form: LinearForm, limit: number, cx: ReachContext): Distances {
  const { rest, ofQ, ofK, others } = splitForm(form, cx);
  const room = sub(limit, rest);
  if (others.length === 0) {
    const [back, ahead] = [farthest(ofQ, ofK, room), farthest(ofK, ofQ, room)];
    return { back, ahead, stride: undefined };
  }
  const [other] = others;
  if (others.length === 1 && ofQ === 0 && ofK === 0 && other![1] > 0)
    return magnitudeAtMost(other![0], floorOf(room, other![1]), cx);
  return rowBound(form, limit, cx);
}

/** Bound of x - y from c·x + d·y ≤ room, for naturals x and y. */
function farthest(c: number, d: number, room: Dim): Dim | undefined {
  if (c <= 0) return undefined;
  // x ≤ room / c.
  if (d >= 0) return floorOf(room, c);
  // -d·(x - y) ≤ room - (c + d)·x.
  return c + d >= 0 ? floorOf(room, -d) : undefined;
}

/** Bounds from |c·(q - k) + r| ≤ limit. */
function magnitudeAtMost(part: IndexExpr, limit: Dim, cx: ReachContext): Distances {
  if (part.kind !== "apply" || part.fn !== "abs") return unbounded;
  const form = formOf(part.args[0]!, cx);
  if (!form) return unbounded;
  const { rest, ofQ, ofK, others } = splitForm(form, cx);
  if (others.length > 0 || ofQ !== -ofK || ofQ === 0) return unbounded;
  const c = Math.abs(ofQ);
  const [up, down] = [floorOf(sub(limit, rest), c), floorOf(add(limit, rest), c)];
  return ofQ > 0 ? { back: up, ahead: down, stride: undefined } : { back: down, ahead: up, stride: undefined };
}

/** Bounds from ⌊x / n⌋ = ⌊y / n⌋ or table[q] = table[k]. */
function sameTile({ args }: IndexExpr & { readonly kind: "apply" }, cx: ReachContext): Distances {
  const [x, y] = args as [IndexExpr, IndexExpr];
  const span = spanOfTable(x, y, cx.tables);
  if (span !== undefined) return { back: span, ahead: span, stride: undefined };
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
  if (expr.kind !== "apply" || (expr.fn !== "floor" && expr.fn !== "trunc")) return undefined;
  const inner = expr.args[0]!;
  if (inner.kind !== "apply" || inner.fn !== "div") return undefined;
  const [of, n] = inner.args as [IndexExpr, IndexExpr];
  // Truncation makes the tile around 0 almost twice as wide where x may be negative.
  if (expr.fn === "trunc" && of.kind !== "index") return undefined;
  return n.kind === "number" && Number.isInteger(n.value) && n.value > 0 ? { of, size: n.value } : undefined;
}

/** The table of `table[q] = table[k]`. */
export function tableOfBoth(x: IndexExpr, y: IndexExpr): number | undefined {
  if (x.kind !== "lookup" || y.kind !== "lookup" || x.table !== y.table || x.at.length !== 1) return undefined;
  const names = [x.at[0], y.at[0]];
  return names.includes(index("q")) && names.includes(index("k")) ? x.table : undefined;
}

/** Largest distance of two positions at which a table is equal. */
function spanOfTable(x: IndexExpr, y: IndexExpr, tables: readonly IndexTable[]): number | undefined {
  const number = tableOfBoth(x, y);
  const table = number === undefined ? undefined : tables[number];
  if (table?.kind !== "constant") return undefined;
  const first = new Map<number, number>();
  let span = 0;
  table.data.forEach((value, i) => {
    const known = first.get(value);
    if (known === undefined) first.set(value, i);
    else span = Math.max(span, i - known);
  });
  return span;
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
