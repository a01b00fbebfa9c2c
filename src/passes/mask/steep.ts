import { attrsOf } from "../../ir/arena.ts";
import { type Dim, evaluate, isStatic, product, symbolsOf } from "../../ir/dim.ts";
import { isFloat } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { boundsWithin } from "../../ir/index-expr/bounds.ts";
import { substituteParts } from "../../ir/index-expr/substitute.ts";
import { constant, type IndexExpr, index, partsInOrder } from "../../ir/index-expr/types.ts";
import { type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { assumedSize } from "../assumed-size.ts";
import type { PassContext } from "../pass.ts";
import type { MaskProblem } from "./problem.ts";

/**
 * A softmax weight below e^-87 of the greatest is a subnormal float32. What is added to the scores makes none where it
 * falls by less, unless the scores themselves do.
 */
const subnormalFrom = 90;

/** What forms that attend part by part do where scores are steep. */
export const heldScores = {
  name: "held-scores",
  formula: "softmax(x) = softmax(max(x, m - 60)), m a seen score of the row, where weights would be subnormal numbers",
  refuses: [],
} as const;

/**
 * Whether what is added to the scores of one row, the last, may differ by so much that weights are subnormal numbers, as
 * linear biases do (ALiBi, arXiv:2108.12409). Numbers that are not known are guessed: whether it is right decides on time
 * alone. Where it is true all that is added is finite.
 */
export function isSteep({ q, added, isPlain, program, sizes }: MaskProblem, cx: PassContext): boolean {
  const isHiding = (part: IndexExpr) => part.kind === "number" && hides(part.value);
  if (q.type.dtype !== "f32" || !isPlain || partsInOrder(added!).some(isHiding)) return false;
  const size = sizeIn(cx);
  const lengths = { B: size(sizes.batch), H: size(sizes.heads), Q: size(sizes.queries), K: size(sizes.keys) };
  const bounds = boundsWithin(lengths, program.tables);
  const rangeOf = rangesIn(cx);
  const lastRow = constant(lengths.Q - 1);
  const inLastRow = substituteParts(added!, (part) => (part === index("q") ? lastRow : part));
  const falls = termsOf(inLastRow).map((term) => {
    const table = term.kind === "lookup" ? program.tables[term.table] : undefined;
    if (table?.kind === "tensor") return fallOf(rangeOf(table.value));
    const { low, high, finite } = bounds(term);
    return finite ? high - low : Number.NaN;
  });
  return falls.reduce((sum, fall) => sum + fall, 0) >= subnormalFrom;
}

/** What is summed up. */
function termsOf(expr: IndexExpr): readonly IndexExpr[] {
  const isSum = expr.kind === "apply" && (expr.fn === "add" || expr.fn === "sub");
  return isSum ? expr.args.flatMap(termsOf) : [expr];
}

const sizeIn =
  ({ dims }: PassContext) =>
  (dim: Dim): number =>
    evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, dims.get(name) ?? assumedSize(name)])));

type Range = readonly [low: number, high: number];
const fallOf = (range: Range | undefined): number => (range ? range[1] - range[0] : Number.NaN);

/** Numbers as large are there to hide a key, which held scores would show again: what is made with some is left as it is. */
const hiding = 10_000;
const hides = (x: number): boolean => !(Math.abs(x) < hiding);
/** Larger tensors are no biases worth looking at. */
const mostElements = 1 << 22;
/** Nor are biases that take more steps to make. */
const deepest = 32;

/**
 * The numbers a tensor is likely to hold, all of them finite; undefined where nothing tells. Integers that are given are
 * taken for those of a mask.
 */
function rangesIn(cx: PassContext): (value: Value) => Range | undefined {
  const size = sizeIn(cx);
  const known = new Map<Value, Range | undefined>();
  const rangeOf = (value: Value, depth = 0): Range | undefined => {
    if (depth > deepest) return undefined;
    if (!known.has(value))
      known.set(
        value,
        found(value, (operand) => rangeOf(operand, depth + 1)),
      );
    return known.get(value);
  };
  const found = ({ node, type }: Value, of: (value: Value) => Range | undefined): Range | undefined => {
    const ranges = node.operands.map(of);
    switch (node.op) {
      case "constant":
        return extremes(attrsOf(node, "constant").value);
      case "param": {
        const { name } = attrsOf(node, "param");
        const isSmall = type.shape.every(isStatic) && size(product(type.shape)) <= mostElements;
        return isSmall && cx.weights?.has(name) ? extremes(cx.weights.read(name)) : undefined;
      }
      case "input":
        return isFloat(type.dtype) ? undefined : [0, 1];
      case "iota":
        return [0, size(attrsOf(node, "iota").size)];
      case "size":
        return [0, size(attrsOf(node, "size").of)];
      case "cumsum":
        return ranges[0] && [0, Math.max(...type.shape.map(size))];
      case "cast":
        return type.dtype === "bool" ? [0, 1] : ranges[0];
      case "reshape":
      case "refine":
      case "transpose":
      case "broadcast":
      case "slice":
      case "gather":
        return ranges[0];
      case "select":
        return union(ranges.slice(1));
      case "neg":
        return corners([ranges[0], [-1, -1]], (x, y) => x * y);
      case "abs":
        return ranges[0] && [0, Math.max(...ranges[0].map(Math.abs))];
      case "add":
        return corners(ranges, (x, y) => x + y);
      case "sub":
        return corners(ranges, (x, y) => x - y);
      case "mul":
        return corners(ranges, (x, y) => x * y);
      default:
        return undefined;
    }
  };
  return rangeOf;
}

function extremes(tensor: HostTensor): Range | undefined {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of toFloat64(tensor)) {
    if (hides(x)) return undefined;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  return low <= high ? [low, high] : undefined;
}

function corners(ranges: readonly (Range | undefined)[], f: (x: number, y: number) => number): Range | undefined {
  const [x, y] = ranges;
  const values = x && y && x.flatMap((a) => y.map((b) => f(a, b)));
  return values && [Math.min(...values), Math.max(...values)];
}

function union(ranges: readonly (Range | undefined)[]): Range | undefined {
  const all = ranges.filter((range) => range !== undefined);
  if (all.length === 0 || all.length < ranges.length) return undefined;
  return [Math.min(...all.map(([low]) => low)), Math.max(...all.map(([, high]) => high))];
}
