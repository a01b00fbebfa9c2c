import { fail } from "./diagnostics.ts";

/**
 * A dimension, or a cost built from dimensions: an integer, or an interned polynomial with integer coefficients over
 * named symbols and calls (`ceil`, `floor`, `mod`, `max`, `min`). Interning makes `===` the proof of equality: two
 * dimensions are the same function of their symbols exactly when they are the same value, up to what calls hide.
 * Every symbol stands for a natural number.
 */
export type Dim = number | DimExpr;

export type DimCall = "ceil" | "floor" | "mod" | "max" | "min";

/** What a polynomial is built over: a named symbol, or a call (`ceil(a/b)`, `floor(a/b)`, `mod(a, b)`, …). */
export type DimAtom =
  | { readonly kind: "symbol"; readonly key: string; readonly name: string }
  | { readonly kind: "call"; readonly key: string; readonly fn: DimCall; readonly left: Dim; readonly right: Dim };

/** `coefficient · Π atom^power`; factors are sorted by atom key, powers are at least 1. */
export interface DimTerm {
  readonly coefficient: number;
  readonly factors: readonly (readonly [atom: DimAtom, power: number])[];
}

/** A polynomial that is no plain integer. Built only by the functions of this module. */
export interface DimExpr {
  readonly terms: readonly DimTerm[];
  /** Canonical text; the identity. */
  readonly key: string;
}

const interned = new Map<string, DimExpr>();
const atoms = new Map<string, DimAtom>();

const factorText = ([atom, power]: readonly [DimAtom, number]) => (power === 1 ? atom.key : `${atom.key}^${power}`);
const monomialKey = (factors: DimTerm["factors"]) => factors.map(factorText).join("*");
const degree = (term: DimTerm) => term.factors.reduce((sum, [, power]) => sum + power, 0);

function termText({ coefficient, factors }: DimTerm, first: boolean): string {
  const sign = coefficient < 0 ? (first ? "-" : " - ") : first ? "" : " + ";
  const magnitude = Math.abs(coefficient);
  const body = monomialKey(factors);
  if (body === "") return `${sign}${magnitude}`;
  return magnitude === 1 ? `${sign}${body}` : `${sign}${magnitude}*${body}`;
}

function intern(terms: Iterable<DimTerm>): Dim {
  const kept = [...terms].filter((term) => term.coefficient !== 0);
  if (kept.length === 0) return 0;
  if (kept.length === 1 && kept[0]!.factors.length === 0) return kept[0]!.coefficient;
  const keyed = kept.map((term) => ({ term, key: monomialKey(term.factors), degree: degree(term) }));
  keyed.sort((a, b) => b.degree - a.degree || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const sorted = keyed.map(({ term }) => term);
  const key = sorted.map((term, i) => termText(term, i === 0)).join("");
  let expr = interned.get(key);
  if (!expr) interned.set(key, (expr = Object.freeze({ terms: sorted, key })));
  return expr;
}

const ofAtom = (atom: DimAtom): Dim => {
  const shared = atoms.get(atom.key) ?? atom;
  if (shared === atom) atoms.set(atom.key, atom);
  return intern([{ coefficient: 1, factors: [[shared, 1]] }]);
};

const termsOf = (dim: Dim): readonly DimTerm[] =>
  typeof dim === "number" ? [{ coefficient: dim, factors: [] }] : dim.terms;

const symbolPattern = /^[A-Za-z_][A-Za-z0-9_.]*$/;

/** The dimension named `name`. Throws QKV203 unless it is an identifier. */
export function symbol(name: string): Dim {
  if (!symbolPattern.test(name)) fail("QKV203", `"${name}" is no dimension name`);
  return ofAtom({ kind: "symbol", key: name, name });
}

function collect(parts: Iterable<DimTerm>): Dim {
  const sums = new Map<string, DimTerm>();
  for (const term of parts) {
    const key = monomialKey(term.factors);
    const previous = sums.get(key);
    sums.set(key, previous ? { ...previous, coefficient: previous.coefficient + term.coefficient } : term);
  }
  return intern(sums.values());
}

function multiplyTerms(a: DimTerm, b: DimTerm): DimTerm {
  const coefficient = a.coefficient * b.coefficient;
  if (a.factors.length === 0) return { coefficient, factors: b.factors };
  if (b.factors.length === 0) return { coefficient, factors: a.factors };
  const powers = new Map(a.factors);
  for (const [atom, power] of b.factors) powers.set(atom, (powers.get(atom) ?? 0) + power);
  const factors = [...powers].sort(([x], [y]) => (x.key < y.key ? -1 : x.key > y.key ? 1 : 0));
  return { coefficient, factors };
}

/** There is one zero among dimensions. */
const oneZero = (value: number) => value + 0;

export function add(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return oneZero(a + b);
  if (a === 0) return b;
  if (b === 0) return a;
  return collect([...termsOf(a), ...termsOf(b)]);
}

export function mul(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return oneZero(a * b);
  if (a === 1) return b;
  if (b === 1) return a;
  if (a === 0 || b === 0) return 0;
  const left = termsOf(a);
  const right = termsOf(b);
  return collect(left.flatMap((x) => right.map((y) => multiplyTerms(x, y))));
}

export const sub = (a: Dim, b: Dim): Dim => add(a, mul(-1, b));
export const sum = (dims: Iterable<Dim>): Dim => {
  const terms: DimTerm[] = [];
  for (const dim of dims) terms.push(...termsOf(dim));
  return collect(terms);
};
export const product = (dims: Iterable<Dim>): Dim => {
  let result: Dim = 1;
  for (const dim of dims) result = mul(result, dim);
  return result;
};

/** `a / b` where that is again a polynomial with integer coefficients and `b` is one term; otherwise undefined. */
export function divideExact(a: Dim, b: Dim): Dim | undefined {
  if (a === b) return 1;
  const divisors = termsOf(b);
  const divisor = divisors[0]!;
  if (divisors.length !== 1) return divideByPolynomial(a, b);
  if (divisor.coefficient === 0) return undefined;
  const quotient: DimTerm[] = [];
  for (const term of termsOf(a)) {
    const coefficient = term.coefficient / divisor.coefficient;
    if (!Number.isInteger(coefficient)) return undefined;
    const powers = new Map(term.factors);
    for (const [atom, power] of divisor.factors) {
      const rest = (powers.get(atom) ?? 0) - power;
      if (rest < 0) return undefined;
      if (rest === 0) powers.delete(atom);
      else powers.set(atom, rest);
    }
    quotient.push({ coefficient, factors: [...powers] });
  }
  return collect(quotient);
}

/** `a / b` for several-term `b`, only where `a` is a one-term multiple of it: enough for `heads * (past + seq)`. */
function divideByPolynomial(a: Dim, b: Dim): Dim | undefined {
  const leading = intern([termsOf(a)[0]!]);
  const quotient = divideExact(leading, intern([termsOf(b)[0]!]));
  return quotient !== undefined && mul(quotient, b) === a ? quotient : undefined;
}

const folded: Record<DimCall, (a: number, b: number) => number> = {
  ceil: (a, b) => Math.ceil(a / b),
  floor: (a, b) => Math.floor(a / b),
  mod: (a, b) => a - b * Math.floor(a / b),
  max: Math.max,
  min: Math.min,
};

function call(fn: DimCall, left: Dim, right: Dim): Dim {
  const divides = fn === "ceil" || fn === "floor" || fn === "mod";
  if (divides && right === 0) fail("QKV204", `${fn} of a division by zero`);
  if (typeof left === "number" && typeof right === "number") return oneZero(folded[fn](left, right));
  const divider = divides ? "/" : ", ";
  const operands = fn === "mod" ? [show(left), show(right)].join(", ") : `${group(left)}${divider}${group(right)}`;
  return ofAtom({ kind: "call", key: `${fn}(${operands})`, fn, left, right });
}

const group = (dim: Dim) => (typeof dim !== "number" && dim.terms.length > 1 ? `(${dim.key})` : show(dim));

/** `⌈a / b⌉`. */
export const ceilDiv = (a: Dim, b: Dim): Dim => divideExact(a, b) ?? call("ceil", a, b);
/** The number a sum of terms has among them. */
export const constantOf = (dim: Dim): number =>
  termsOf(dim).find(({ factors }) => factors.length === 0)?.coefficient ?? 0;

/** `⌊a / b⌋`. Of whole numbers, `⌊(⌊x / m⌋ + c) / k⌋` is `⌊(x + c·m) / (m·k)⌋`, and whole multiples of `k` come out of it. */
export function floorDiv(a: Dim, b: Dim): Dim {
  const exact = divideExact(a, b);
  if (exact !== undefined || isStatic(a) || !isStatic(b) || b <= 0) return exact ?? call("floor", a, b);
  const constant = constantOf(a);
  const inner = sub(a, constant);
  const nested = isStatic(inner) ? undefined : floorIn(inner);
  if (nested) return floorDiv(add(nested.left, constant * nested.by), nested.by * b);
  const whole = collect(
    termsOf(a).map(({ coefficient, factors }) => ({ coefficient: Math.trunc(coefficient / b), factors })),
  );
  return whole === 0 ? call("floor", a, b) : add(call("floor", sub(a, mul(whole, b)), b), whole);
}

/** The floor a dimension is and nothing else, where it divides by a positive number. */
function floorIn({ terms }: DimExpr): { readonly left: Dim; readonly by: number } | undefined {
  const [term] = terms;
  const [[atom, power]] = term!.factors as [readonly [DimAtom, number]];
  const alone = terms.length === 1 && term!.factors.length === 1 && term!.coefficient === 1 && power === 1;
  if (!alone || atom.kind !== "call" || atom.fn !== "floor" || !isStatic(atom.right) || atom.right <= 0)
    return undefined;
  return { left: atom.left, by: atom.right };
}

/** `a - b·⌊a / b⌋`, which is never negative for positive `b`. */
export const mod = (a: Dim, b: Dim): Dim => (divideExact(a, b) === undefined ? call("mod", a, b) : 0);

/** Operands in one order, so that `max(a, b)` and `max(b, a)` are the same dimension. */
function symmetric(fn: "max" | "min", a: Dim, b: Dim): Dim {
  const swap = isStatic(a) === isStatic(b) ? show(a) > show(b) : isStatic(b);
  return swap ? call(fn, b, a) : call(fn, a, b);
}

/** The larger of both; decided where the difference has one sign. */
export const max = (a: Dim, b: Dim): Dim => (atLeast(a, b) ? a : atLeast(b, a) ? b : symmetric("max", a, b));
/** The smaller of both; decided where the difference has one sign. */
export const min = (a: Dim, b: Dim): Dim => (atLeast(a, b) ? b : atLeast(b, a) ? a : symmetric("min", a, b));

/** True where `a >= b` for all natural values of the symbols; false means "not proven". */
export const atLeast = (a: Dim, b: Dim): boolean => isNatural(sub(a, b));

const naturals = new WeakMap<DimExpr, boolean>();

function isNatural(dim: Dim): boolean {
  if (isStatic(dim)) return dim >= 0;
  let known = naturals.get(dim);
  if (known === undefined) {
    known = dim.terms.every(({ coefficient, factors }) => coefficient >= 0 && factors.every(isNaturalPower));
    const below = known ? dim : withoutQuotients(dim);
    known ||= below !== dim && isNatural(below);
    naturals.set(dim, known);
  }
  return known;
}

/**
 * What a sum is no less than: `n·⌈x / n⌉` is at least `x`, and `n·⌊x / n⌋` at most; `⌊(x - c) / n⌋` is at least `⌊-c / n⌋`
 * where `x` is not negative.
 */
function withoutQuotients(dim: DimExpr): Dim {
  return sum(
    dim.terms.map((term) => {
      const { coefficient, factors } = term;
      const [atom, power] = factors[0] ?? [];
      if (factors.length !== 1 || power !== 1 || atom?.kind !== "call") return intern([term]);
      const { fn, left, right } = atom;
      if ((fn !== "ceil" && fn !== "floor") || !isStatic(right) || right <= 0) return intern([term]);
      const isBound = fn === "ceil" ? coefficient > 0 : coefficient < 0;
      if (isBound && coefficient % right === 0) return mul(coefficient / right, left);
      const least = constantOf(left);
      const isLow = coefficient > 0 && !isNatural(left) && isNatural(sub(left, least));
      return isLow ? coefficient * folded[fn](least, right) : intern([term]);
    }),
  );
}

/** Symbols are natural; a quotient of something that may be negative may be so too. */
const isNaturalPower = ([atom, power]: DimTerm["factors"][number]): boolean =>
  power % 2 === 0 || atom.kind === "symbol" || atom.fn === "mod" || (isNatural(atom.left) && isNatural(atom.right));

export const show = (dim: Dim): string => (typeof dim === "number" ? String(dim) : dim.key);
export const isStatic = (dim: Dim): dim is number => typeof dim === "number";

function visitSymbols(dim: Dim, visit: (name: string) => void): void {
  if (typeof dim === "number") return;
  for (const term of dim.terms)
    for (const [atom] of term.factors) {
      if (atom.kind === "symbol") visit(atom.name);
      else {
        visitSymbols(atom.left, visit);
        visitSymbols(atom.right, visit);
      }
    }
}

/** The names a dimension depends on, each once, in order of appearance. */
export function symbolsOf(dim: Dim): readonly string[] {
  const names = new Set<string>();
  visitSymbols(dim, (name) => names.add(name));
  return [...names];
}

/** Replaces symbols, and calls by their text, by dimensions; those not in `bindings` stay. */
export function substitute(dim: Dim, bindings: ReadonlyMap<string, Dim>): Dim {
  if (typeof dim === "number" || bindings.size === 0) return dim;
  return sum(
    dim.terms.map((term) => {
      let value: Dim = term.coefficient;
      for (const [atom, power] of term.factors) {
        const base = substituteAtom(atom, bindings);
        for (let i = 0; i < power; i++) value = mul(value, base);
      }
      return value;
    }),
  );
}

/** The same where every symbol is at least 1: nothing is empty. */
export const ofNonEmpty = (dim: Dim): Dim =>
  substitute(dim, new Map(symbolsOf(dim).map((name) => [name, add(symbol(name), 1)])));

function substituteAtom(atom: DimAtom, bindings: ReadonlyMap<string, Dim>): Dim {
  const bound = bindings.get(atom.key);
  if (bound !== undefined) return bound;
  if (atom.kind === "symbol") return ofAtom(atom);
  return applyCall(atom.fn, substitute(atom.left, bindings), substitute(atom.right, bindings));
}

const applyCall = (fn: DimCall, left: Dim, right: Dim): Dim =>
  ({ ceil: ceilDiv, floor: floorDiv, mod, max, min })[fn](left, right);

/** A minimum or maximum a dimension is made of. */
export interface Extreme {
  readonly key: string;
  readonly fn: "min" | "max";
  readonly of: readonly [Dim, Dim];
}

/** The minima and maxima a dimension is made of, not those inside others. */
export const extremesOf = (dim: Dim): readonly Extreme[] =>
  termsOf(dim).flatMap(({ factors }) =>
    factors.flatMap(([atom]): Extreme[] =>
      atom.kind === "call" && (atom.fn === "min" || atom.fn === "max")
        ? [{ key: atom.key, fn: atom.fn, of: [atom.left, atom.right] }]
        : [],
    ),
  );

/** The number a dimension takes. Throws QKV205 naming the symbol that has no value. */
export function evaluate(dim: Dim, values: ReadonlyMap<string, number>): number {
  if (typeof dim === "number") return dim;
  let total = 0;
  for (const term of dim.terms) {
    let value = term.coefficient;
    for (const [atom, power] of term.factors) value *= evaluateAtom(atom, values) ** power;
    total += value;
  }
  return total;
}

/** The number of a dimension whose symbols all have values; undefined for any other. */
export const evaluateKnown = (dim: Dim, values: ReadonlyMap<string, number>): number | undefined =>
  symbolsOf(dim).every((name) => values.has(name)) ? evaluate(dim, values) : undefined;

function evaluateAtom(atom: DimAtom, values: ReadonlyMap<string, number>): number {
  if (atom.kind === "call") return folded[atom.fn](evaluate(atom.left, values), evaluate(atom.right, values));
  return (
    values.get(atom.name) ??
    fail("QKV205", `the dimension "${atom.name}" has no value`, { help: `give it with --dims ${atom.name}=N` })
  );
}

/** The coefficients of `dim` as a polynomial in `name`, lowest power first. Undefined where `name` hides in a call. */
export function coefficients(dim: Dim, name: string): readonly Dim[] | undefined {
  const byPower: Dim[] = [];
  for (const term of termsOf(dim)) {
    let power = 0;
    const rest: [DimAtom, number][] = [];
    for (const [atom, exponent] of term.factors) {
      if (atom.kind === "symbol" && atom.name === name) power = exponent;
      else if (atom.kind === "call" && symbolsOf(ofAtom(atom)).includes(name)) return undefined;
      else rest.push([atom, exponent]);
    }
    byPower[power] = add(byPower[power] ?? 0, intern([{ coefficient: term.coefficient, factors: rest }]));
  }
  return Array.from(byPower, (coefficient) => coefficient ?? 0);
}

/**
 * Makes `pattern` equal to `actual` by binding one symbol of `pattern`, given what `bindings` already holds: the only
 * unknown one, where it occurs linearly with an integer coefficient that divides. Answers whether they are now equal;
 * binds nothing when they are not.
 */
export function unify(pattern: Dim, actual: Dim, bindings: Map<string, Dim>): boolean {
  const known = substitute(pattern, bindings);
  if (known === actual) return true;
  const [name, ...others] = symbolsOf(known).filter((name) => !bindings.has(name));
  if (name === undefined || others.length > 0) return false;
  const [rest, slope, ...higher] = coefficients(known, name) ?? [];
  if (rest === undefined || typeof slope !== "number" || higher.length > 0) return false;
  const value = divideExact(sub(actual, rest), slope);
  if (value === undefined || (typeof value === "number" && value < 0)) return false;
  bindings.set(name, value);
  return true;
}
