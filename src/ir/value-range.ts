import { attrsOf } from "./arena.ts";
import { type DType, endsOf, isFloat } from "./dtype.ts";
import type { Value } from "./graph.ts";
import { type HostTensor, toFloat64 } from "./tensor.ts";

/** The numbers a tensor holds lie in [low, high]. None is NaN, unless an end is infinite. */
export type Range = readonly [low: number, high: number];

/** Nothing is known, NaN included. */
export const anyRange: Range = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];

/** Values that take more steps to make are not looked at. */
const deepest = 32;

/**
 * Ranges of values from those of their operands, each found once. `given` knows more of some; of other inputs and parameters
 * the type alone is known. The result holds if what `given` says does.
 */
export function rangesGiven(given: (value: Value) => Range | undefined): (value: Value) => Range {
  const known = new Map<Value, Range>();
  const rangeOf = (value: Value, depth: number): Range => {
    if (depth > deepest) return anyRange;
    let range = known.get(value);
    if (!range) known.set(value, (range = given(value) ?? ownRange(value, (operand) => rangeOf(operand, depth + 1))));
    return range;
  };
  return (value) => rangeOf(value, 0);
}

const ofDType = (dtype: DType): Range => endsOf(dtype) ?? anyRange;

/** Numbers beyond, rounded, may be infinite. */
const mostOf: Readonly<Partial<Record<DType, number>>> = { f16: 65_000, bf16: 3.3e38, f32: 3.4e38, f64: 1e308 };

/** Integers that leave their type come in again at the other end; floats are infinite. */
function ownRange(value: Value, of: (value: Value) => Range): Range {
  const { dtype } = value.type;
  const most = mostOf[dtype];
  const [range, whole] = [rangeWithin(value, of), ofDType(dtype)];
  const [low, high] = most === undefined ? whole : [-most, most];
  const leaves = (end: number) => (end < low || end > high) && !(isFloat(dtype) && Math.abs(end) === Infinity);
  return range.some(leaves) ? whole : range;
}

function rangeWithin({ node, type }: Value, of: (value: Value) => Range): Range {
  const operands = () => node.operands.map(of);
  switch (node.op) {
    case "constant":
      return extremes(attrsOf(node, "constant").value);
    case "cast":
      return castRange(of(node.operands[0]!), type.dtype);
    case "reshape":
    case "refine":
    case "transpose":
    case "broadcast":
    case "slice":
    case "gather":
    case "reduceMax":
    case "reduceMin":
      return of(node.operands[0]!);
    case "select":
      return selected(node.operands as [Value, Value, Value], of);
    case "neg":
      return corners(operands(), (x) => -x);
    case "abs":
      return ofAbsolute(of(node.operands[0]!));
    case "add":
      return corners(operands(), (x, y) => x + y);
    case "sub":
      return corners(operands(), (x, y) => x - y);
    case "mul":
      return corners(operands(), (x, y) => x * y);
    case "max":
      return corners(operands(), Math.max);
    case "min":
      return corners(operands(), Math.min);
    default:
      return ofDType(type.dtype);
  }
}

/** Floats to integers truncate; anything to bool is ≠ 0. */
function castRange(range: Range, dtype: DType): Range {
  if (isFloat(dtype)) return range;
  return dtype === "bool" ? [0, 1] : [Math.trunc(range[0]), Math.trunc(range[1])];
}

/** `x < y ? x : y` is no greater than y, `y < x ? x : y` no less; either is y where x is NaN. */
function selected([condition, x, y]: readonly [Value, Value, Value], of: (value: Value) => Range): Range {
  const { op, operands } = condition.node;
  const compares = (first: Value, second: Value) => op === "less" && operands[0] === first && operands[1] === second;
  const [ofX, ofY] = [of(x), of(y)];
  return [compares(y, x) ? ofY[0] : Math.min(ofX[0], ofY[0]), compares(x, y) ? ofY[1] : Math.max(ofX[1], ofY[1])];
}

/** The range of a tensor's elements; any where one is NaN, or there is none. */
export function extremes(tensor: HostTensor): Range {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of toFloat64(tensor)) {
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  return low <= high ? [low, high] : anyRange;
}

/** Of an operation that is monotone in each operand: from the ends of theirs. */
function corners(ranges: readonly Range[], f: (x: number, y: number) => number): Range {
  if (!ranges.every(isBounded)) return anyRange;
  const [x, y] = ranges as [Range, Range | undefined];
  const values = x.flatMap((a) => (y ?? [0]).map((b) => f(a, b)));
  return [Math.min(...values), Math.max(...values)];
}

const ofAbsolute = (range: Range): Range => (isBounded(range) ? [0, Math.max(...range.map(Math.abs))] : anyRange);

const isBounded = (range: Range): boolean => range.every(Number.isFinite);
