import { type Dim, max, sub } from "../dim.ts";
import { substituteParts } from "../index-expr/substitute.ts";
import { applied, type IndexExpr, partsInOrder, sharing } from "../index-expr/types.ts";
import { both, type Distances, either, type ReachContext, unbounded } from "./distances.ts";
import { inIntegers } from "./in-integers.ts";
import { combined, type LinearForm } from "./integral.ts";
import { atMost, formOf, isNatural, opposite, splitForm, textOf, tileOf } from "./linear-reach.ts";
import { operandsOf, readsOf } from "./logic.ts";
import { type SharedTable, sharedTable } from "./shared-table.ts";

/** Of parts shared more than that nothing is known: each use is looked at by itself. */
const mostSharing = 64;

/** Bounds of the distances at which a mask can be true. */
export function distancesOf(mask: IndexExpr, cx: ReachContext): Distances {
  if (mask.kind === "apply" && mask.fn === "select") {
    if (sharing(mask) > mostSharing) return unbounded;
    const [c, x, y] = mask.args as [IndexExpr, IndexExpr, IndexExpr];
    return either(distancesOf(applied("and", c, x), cx), distancesOf(applied("and", applied("not", c), y), cx));
  }
  const alternatives = operandsOf("or", mask);
  if (alternatives.length > 1 && sharing(mask) > mostSharing) return unbounded;
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
    substituteParts(
      fact,
      (part) => {
        if (part.kind !== "apply" || part.fn !== "mod") return part;
        const [x, n] = part.args as [IndexExpr, IndexExpr];
        if (n.kind !== "number" || !(n.value > 0) || !isNatural(x, natural, cx)) return part;
        return applied("sub", x, applied("mul", n, applied("floor", applied("div", x, n))));
      },
      applied,
    ),
  );
  const equal = new Map<IndexExpr, IndexExpr>();
  for (const fact of expanded) {
    if (fact.kind !== "apply" || fact.fn !== "equal") continue;
    const [x, y] = fact.args as [IndexExpr, IndexExpr];
    if (readsOf(x) === 1 && readsOf(y) === 2) equal.set(y, x);
    if (readsOf(x) === 2 && readsOf(y) === 1) equal.set(x, y);
  }
  return expanded.map((fact) => substituteParts(fact, (part) => equal.get(part) ?? part, applied));
}

/** x - y of a comparison of integers. */
function differenceOf(expr: IndexExpr & { readonly kind: "apply" }, cx: ReachContext): LinearForm | undefined {
  const [x, y] = expr.args.map((arg) => formOf(arg, cx));
  return x && y ? combined(x, y, -1) : undefined;
}

const negated = { less: "greaterEqual", lessEqual: "greater", greater: "lessEqual", greaterEqual: "less" } as const;

/** Bounds a single comparison gives. Integers only: NaN makes a `not` of a comparison something else. */
function ofOne(expr: IndexExpr, cx: ReachContext): Distances {
  if (expr.kind !== "apply" || sharing(expr) > mostSharing) return unbounded;
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
