import { indexFunctions } from "./functions.ts";
import type { IndexExpr, IndexTable, LengthName } from "./types.ts";
import { lengthOf, partsInOrder, partsOf } from "./types.ts";

/** What is known of the numbers an expression answers: all that are not NaN lie in [low, high]. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
  /** Every number is an integer, or infinite. */
  readonly whole: boolean;
  /** It answers neither NaN nor an infinity. Sums and products of indices count as finite: they stay far below 1e308. */
  readonly finite: boolean;
}

/** Sizes that are known; the others are 1 or more, and below 2³¹: no attention has as many positions. */
export type KnownLengths = Readonly<Partial<Record<LengthName, number>>>;

/** Whether every number is one that float32 holds, and its products with small ones too. */
export const isModerate = ({ low, high, finite }: Bounds): boolean => finite && low > -1e38 && high < 1e38;

const anything: Bounds = { low: -Infinity, high: Infinity, whole: false, finite: false };
const truth: Bounds = { low: 0, high: 1, whole: true, finite: true };
const int32: Bounds = { low: -(2 ** 31), high: 2 ** 31 - 1, whole: true, finite: true };

/** Bounds of expressions that share lengths and tables; each part is looked at once. Sound, not tight. */
export function boundsWithin(lengths: KnownLengths, tables: readonly IndexTable[]): (expr: IndexExpr) => Bounds {
  const known = new Map<IndexExpr, Bounds>();
  return (root) => {
    const before = known.get(root);
    if (before) return before;
    const order = partsOf(root).every((part) => known.has(part)) ? [root] : partsInOrder(root);
    for (const expr of order) {
      if (known.has(expr)) continue;
      const parts = partsOf(expr).map((part) => known.get(part)!);
      known.set(expr, boundsOf(expr, parts, lengths, tables));
    }
    return known.get(root)!;
  };
}

const unknownLength = 2 ** 31 - 1;
function boundsOf(
  expr: IndexExpr,
  parts: readonly Bounds[],
  lengths: KnownLengths,
  tables: readonly IndexTable[],
): Bounds {
  switch (expr.kind) {
    case "number":
      return exactly(expr.value);
    case "index":
      return { low: 0, high: (lengths[lengthOf[expr.name]] ?? unknownLength) - 1, whole: true, finite: true };
    case "length":
      return { low: lengths[expr.name] ?? 1, high: lengths[expr.name] ?? Infinity, whole: true, finite: true };
    case "score":
      return anything;
    case "lookup":
      return tableBounds(tables[expr.table], parts);
    case "apply":
      return applied(expr.fn, parts);
  }
}

const exactly = (value: number): Bounds =>
  Number.isNaN(value)
    ? anything
    : { low: value, high: value, whole: Math.floor(value) === value, finite: Number.isFinite(value) };

const ofTables = new WeakMap<IndexTable, Bounds>();

/** Bounds of a table's elements; of what lies outside of it nothing is known. */
function tableBounds(table: IndexTable | undefined, at: readonly Bounds[]): Bounds {
  if (!table) return anything;
  if (table.kind === "tensor") {
    const { dtype } = table.value.type;
    if (dtype === "bool") return truth;
    const whole = !["f64", "f32", "f16", "bf16"].includes(dtype);
    return { ...anything, whole, finite: whole };
  }
  let bounds = ofTables.get(table);
  if (!bounds) ofTables.set(table, (bounds = elementBounds(table.data)));
  return { ...bounds, finite: bounds.finite && at.every((part, axis) => within(part, table.dims[axis]!)) };
}

function elementBounds(data: Float64Array): Bounds {
  let [low, high, whole, finite] = [Infinity, -Infinity, true, data.length > 0];
  for (const value of data) {
    if (Number.isNaN(value)) return anything;
    low = Math.min(low, value);
    high = Math.max(high, value);
    whole &&= Math.floor(value) === value;
    finite &&= Number.isFinite(value);
  }
  return { low, high, whole, finite };
}

/** Every number is an index of an axis of `size` elements. */
export const within = ({ low, high, whole, finite }: Bounds, size: number): boolean =>
  whole && finite && low >= 0 && high < size;

type Binary = (x: number, y: number) => number;

/** The corners of a function that is monotonic in each operand. */
function corners(f: Binary, x: Bounds, y: Bounds, whole = x.whole && y.whole): Bounds {
  const finite = x.finite && y.finite;
  const values = [f(x.low, y.low), f(x.low, y.high), f(x.high, y.low), f(x.high, y.high)];
  // Infinity - Infinity of open bounds says nothing about the numbers between them.
  if (values.some(Number.isNaN)) return { ...anything, whole, finite };
  return { low: Math.min(...values), high: Math.max(...values), whole, finite };
}

/** Of a positive number: monotonic in each operand, but soon infinite. */
function power(x: Bounds, y: Bounds): Bounds {
  const bounds = corners((a, b) => a ** b, x, y, false);
  return { ...bounds, finite: bounds.finite && Number.isFinite(bounds.high) };
}

/** Of any number to a natural one. */
function wholePower({ low, high, whole, finite }: Bounds, n: number): Bounds {
  const [first, last] = [low ** n, high ** n];
  const most = Math.max(first, last);
  const least = n % 2 === 0 ? 0 : first;
  return { low: least, high: most, whole, finite: finite && Number.isFinite(least) && Number.isFinite(most) };
}

function applied(fn: keyof typeof indexFunctions, parts: readonly Bounds[]): Bounds {
  const [x = anything, y = anything, z = anything] = parts;
  const { evaluate } = indexFunctions[fn];
  if (indexFunctions[fn].truth) return truth;
  switch (fn) {
    case "add":
    case "sub":
    case "min":
    case "max":
      return corners(evaluate as Binary, x, y);
    case "mul":
      // 0 times what is between open bounds is 0, or NaN.
      return corners((a, b) => (a === 0 || b === 0 ? 0 : a * b), x, y);
    case "div":
      return y.low > 0 || y.high < 0 ? corners((a, b) => a / b, x, y, false) : anything;
    case "pow":
      return x.low > 0 ? power(x, y) : y.low === y.high && y.whole && isNatural(y) ? wholePower(x, y.low) : anything;
    case "neg":
      return { ...x, low: -x.high, high: -x.low };
    case "abs":
      return {
        ...x,
        low: x.low > 0 ? x.low : x.high < 0 ? -x.high : 0,
        high: Math.max(Math.abs(x.low), Math.abs(x.high)),
      };
    case "floor":
    case "ceil":
    case "round":
    case "trunc":
    case "sign":
      return { low: evaluate(x.low, 0, 0), high: evaluate(x.high, 0, 0), whole: true, finite: x.finite };
    case "mod":
      return remainder(x, y);
    case "select":
      return {
        low: Math.min(y.low, z.low),
        high: Math.max(y.high, z.high),
        whole: y.whole && z.whole,
        finite: y.finite && z.finite,
      };
    case "sqrt":
      return { low: 0, high: Infinity, whole: false, finite: x.finite && x.low >= 0 };
    case "exp":
      return { low: Math.exp(x.low), high: Math.exp(x.high), whole: false, finite: x.finite && x.high < 700 };
    case "cosh":
    case "acosh":
    case "acos":
    case "hypot":
      return { low: 0, high: Infinity, whole: false, finite: fn === "hypot" && x.finite && y.finite };
    case "atan":
    case "atan2":
      return { low: -4, high: 4, whole: false, finite: x.finite && (fn === "atan" || y.finite) };
    case "cbrt":
    case "asinh":
      return { ...anything, finite: x.finite };
    case "sin":
    case "cos":
    case "tanh":
      return { low: -1, high: 1, whole: false, finite: x.finite };
    case "bitAnd":
      return isNatural(x) && isNatural(y) ? natural(Math.floor(Math.min(x.high, y.high))) : int32;
    case "bitOr":
    case "bitXor":
      return isNatural(x) && isNatural(y) ? natural(2 ** bitsOf(Math.max(x.high, y.high)) - 1) : int32;
    case "shiftLeft":
      return isNatural(x) && isNatural(y) && y.high < 32 && x.high * 2 ** y.high < 2 ** 31
        ? natural(Math.floor(x.high) * 2 ** Math.floor(y.high))
        : int32;
    case "bitNot":
      return int32;
    case "shiftRight":
      return isNatural(x) ? natural(Math.floor(x.high)) : int32;
    case "shiftRightUnsigned":
      return { low: 0, high: 2 ** 32 - 1, whole: true, finite: true };
    default:
      return anything;
  }
}

const natural = (high: number): Bounds => ({ low: 0, high, whole: true, finite: true });
/** Bit operations see such numbers as they are, but for a fraction. */
export const isNatural = (x: Bounds): boolean => x.finite && x.low >= 0 && x.high < 2 ** 31;
/** How many bits numbers up to `high` have. */
export const bitsOf = (high: number): number => (high < 1 ? 0 : 32 - Math.clz32(high));

function remainder(x: Bounds, y: Bounds): Bounds {
  const size = Math.max(Math.abs(y.low), Math.abs(y.high));
  const whole = x.whole && y.whole;
  const most = whole && Number.isFinite(size) ? size - 1 : size;
  const high = x.high > 0 ? Math.min(most, x.high) : 0;
  return { low: x.low < 0 ? -most : 0, high, whole, finite: x.finite && y.finite && (y.low > 0 || y.high < 0) };
}
