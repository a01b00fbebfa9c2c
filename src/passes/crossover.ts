import {
  add,
  coefficients,
  type Dim,
  divideExact,
  evaluate,
  isStatic,
  mul,
  show,
  sub,
  symbol as symbolOf,
  symbolsOf,
} from "../ir/dim.ts";

/** Where, along one symbol, a cost becomes smaller than another. */
export interface Crossover {
  readonly symbol: string;
  /** `seq > 64`, or `n > 2*dk*dv/(dk + dv)`: where the second cost is smaller. */
  readonly condition: string;
  /** The largest natural number before the change, where it is a number. */
  readonly threshold?: number;
  /** The condition in numbers, where it is a formula and sizes for its symbols are known. */
  readonly at?: string;
  /** Whether the second cost is smaller above the threshold, not below. */
  readonly above: boolean;
  /** Whether there are more changes, beyond this first one. */
  readonly more: boolean;
}

/** Lengths beyond this are not considered. */
const longest = 2 ** 20;

/**
 * Where `second` becomes cheaper than `first` as `symbol` grows from 1. A difference that is linear in the symbol, up to
 * a common factor, is solved exactly, with other symbols left in the formula; anything else by bisection, with `sizes`
 * for the other symbols. Undefined where one is never dearer than the other, or where nothing can be said.
 */
export function crossover(
  first: Dim,
  second: Dim,
  symbol: string,
  sizes: ReadonlyMap<string, number> = new Map(),
): Crossover | undefined {
  const difference = sub(first, second);
  if (isStatic(difference)) return undefined;
  const exact = linearCrossover(difference, symbol);
  if (exact?.threshold !== undefined) return exact;
  const numeric = numericCrossover(difference, symbol, sizes);
  return exact && numeric ? { ...exact, at: numeric.condition } : (exact ?? numeric);
}

/** gain = slope·n - offset, times a power of n: positive from n > offset / slope on. */
function linearCrossover(difference: Dim, symbol: string): Crossover | undefined {
  const all = coefficients(difference, symbol);
  if (!all) return undefined;
  const lowest = all.findIndex((coefficient) => coefficient !== 0);
  const [low, high, ...higher] = all.slice(lowest);
  if (low === undefined || high === undefined || higher.length > 0) return undefined;
  const above = signOf(high);
  if (above === undefined || signOf(low) !== -above) return undefined;
  const [offset, slope] = reduced(mul(-above, low), mul(above, high));
  const ratio = isStatic(offset) && isStatic(slope) ? offset / slope : undefined;
  if (ratio === undefined) {
    const condition = `${symbol} ${above > 0 ? ">" : "<"} ${fraction(offset, slope)}`;
    return { symbol, condition, above: above > 0, more: false };
  }
  if (ratio < 1 || ratio >= longest) return undefined;
  return numbered(symbol, above > 0 ? Math.floor(ratio) : Math.ceil(ratio) - 1, above > 0, false);
}

const numbered = (symbol: string, threshold: number, above: boolean, more: boolean): Crossover => ({
  symbol,
  condition: above ? `${symbol} > ${threshold}` : `${symbol} <= ${threshold}`,
  threshold,
  above,
  more,
});

/** The sign a dimension has for all positive values of its symbols, where its terms agree in sign. */
function signOf(dim: Dim): 1 | -1 | undefined {
  const signs = new Set(isStatic(dim) ? [Math.sign(dim)] : dim.terms.map(({ coefficient }) => Math.sign(coefficient)));
  const [sign] = signs;
  return signs.size === 1 && (sign === 1 || sign === -1) ? sign : undefined;
}

const greatestDivisor = (a: number, b: number): number => (b === 0 ? Math.abs(a) : greatestDivisor(b, a % b));

/** Both without their common factors: numbers and symbols that divide every term. */
function reduced(a: Dim, b: Dim): readonly [Dim, Dim] {
  const terms = [a, b].flatMap((dim) => (isStatic(dim) ? [{ coefficient: dim, factors: [] }] : dim.terms));
  let common: Dim = terms.reduce((divisor, { coefficient }) => greatestDivisor(divisor, coefficient), 0);
  for (const [atom, power] of terms[0]!.factors) {
    const shared = terms.reduce(
      (least, { factors }) => Math.min(least, factors.find(([other]) => other === atom)?.[1] ?? 0),
      power,
    );
    if (atom.kind === "symbol") for (let i = 0; i < shared; i++) common = mul(common, symbolOf(atom.name));
  }
  return [divideExact(a, common) ?? a, divideExact(b, common) ?? b];
}

const fraction = (offset: Dim, slope: Dim): string => {
  const wrap = (dim: Dim) => (!isStatic(dim) && dim.terms.length > 1 ? `(${show(dim)})` : show(dim));
  const below = !isStatic(slope) && (slope.terms.length > 1 || slope.terms[0]!.factors.length > 1);
  if (slope === 1) return show(offset);
  return `${wrap(offset)}/${below ? `(${show(slope)})` : show(slope)}`;
};

/** The first change of sign over 1 … `longest`: found between powers of two, then by bisection. */
function numericCrossover(difference: Dim, symbol: string, sizes: ReadonlyMap<string, number>): Crossover | undefined {
  const values = new Map(sizes);
  if (symbolsOf(difference).some((name) => name !== symbol && !values.has(name))) return undefined;
  const gains = (n: number) => evaluate(difference, values.set(symbol, n)) > 0;
  const start = gains(1);
  const points = Array.from({ length: 2 * Math.log2(longest) + 1 }, (_, i) => Math.ceil(2 ** (i / 2)));
  const changed = points.findIndex((n) => gains(n) !== start);
  if (changed <= 0) return undefined;
  let [low, high] = [points[changed - 1]!, points[changed]!];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (gains(middle) === start) low = middle;
    else high = middle;
  }
  const more = points.slice(changed).some((n) => gains(n) === start);
  return numbered(symbol, low, !start, more);
}

/** A cost and a price that is no function of lengths. */
export const priced = (cost: Dim, price: number): Dim => add(cost, Math.round(price));
