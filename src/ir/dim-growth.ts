import { type Dim, type DimAtom, isStatic, symbolsOf } from "./dim.ts";

/** A function of one symbol for large values of it. */
interface Leading {
  /** Lowest power first. */
  readonly coefficients: readonly number[];
  /** The degree of what was dropped; -1 where nothing was. */
  readonly slack: number;
}

/**
 * The power of `symbol` a dimension grows with, the other symbols having `sizes`: the degree, exactly, of a polynomial;
 * `ceil`, `floor`, `mod`, `max` and `min` count as what they are for large values. Where leading terms cancel only
 * because of these, it is an upper bound. Undefined where a divisor grows too, or a size is missing.
 */
export function growthDegree(dim: Dim, symbol: string, sizes: ReadonlyMap<string, number>): number | undefined {
  const leading = leadingOf(dim, symbol, sizes);
  return leading && Math.max(0, degreeOf(leading), leading.slack);
}

const degreeOf = ({ coefficients }: Leading) => coefficients.findLastIndex((coefficient) => coefficient !== 0);

const exactly = (...coefficients: readonly number[]): Leading => ({ coefficients, slack: -1 });

function leadingOf(dim: Dim, symbol: string, sizes: ReadonlyMap<string, number>): Leading | undefined {
  if (isStatic(dim)) return exactly(dim);
  let total = exactly();
  for (const { coefficient, factors } of dim.terms) {
    let term = exactly(coefficient);
    for (const [atom, power] of factors) {
      const factor = leadingOfAtom(atom, symbol, sizes);
      if (!factor) return undefined;
      for (let i = 0; i < power; i++) term = times(term, factor);
    }
    total = plus(total, term);
  }
  return total;
}

function leadingOfAtom(atom: DimAtom, symbol: string, sizes: ReadonlyMap<string, number>): Leading | undefined {
  if (atom.kind === "symbol") {
    if (atom.name === symbol) return exactly(0, 1);
    const size = sizes.get(atom.name);
    return size === undefined ? undefined : exactly(size);
  }
  const left = leadingOf(atom.left, symbol, sizes);
  const right = leadingOf(atom.right, symbol, sizes);
  if (!left || !right) return undefined;
  if (atom.fn === "max") return isLarger(left, right) ? left : right;
  if (atom.fn === "min") return isLarger(left, right) ? right : left;
  const [divisor] = right.coefficients;
  if (!divisor || symbolsOf(atom.right).includes(symbol)) return undefined;
  if (atom.fn === "mod") return { coefficients: [], slack: 0 };
  return { coefficients: left.coefficients.map((x) => x / divisor), slack: Math.max(left.slack, 0) };
}

const plus = (a: Leading, b: Leading): Leading => ({
  coefficients: Array.from(
    { length: Math.max(a.coefficients.length, b.coefficients.length) },
    (_, i) => (a.coefficients[i] ?? 0) + (b.coefficients[i] ?? 0),
  ),
  slack: Math.max(a.slack, b.slack),
});

function times(a: Leading, b: Leading): Leading {
  const coefficients = new Array<number>(Math.max(0, a.coefficients.length + b.coefficients.length - 1)).fill(0);
  a.coefficients.forEach((x, i) => b.coefficients.forEach((y, j) => void (coefficients[i + j]! += x * y)));
  // What was dropped of one is multiplied by all of the other.
  const dropped = (x: Leading, y: Leading) => (x.slack < 0 ? -1 : x.slack + Math.max(0, degreeOf(y), y.slack));
  return { coefficients, slack: Math.max(dropped(a, b), dropped(b, a)) };
}

/** Whether `a` is larger than `b` for large values of the symbol. */
function isLarger(a: Leading, b: Leading): boolean {
  const difference = plus(a, { ...b, coefficients: b.coefficients.map((x) => -x) });
  return (difference.coefficients[degreeOf(difference)] ?? 0) > 0;
}
