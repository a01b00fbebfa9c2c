import { attrsOf } from "../../ir/arena.ts";
import { type Dim, evaluate, isStatic, product, symbolsOf } from "../../ir/dim.ts";
import { isFloat } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { boundsWithin, isModerate } from "../../ir/index-expr/bounds.ts";
import { substituteParts } from "../../ir/index-expr/substitute.ts";
import { constant, type IndexExpr, index, partsInOrder, sharing } from "../../ir/index-expr/types.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { anyRange, extremes, type Range, rangesGiven } from "../../ir/value-range.ts";
import { assumedSize } from "../assumed-size.ts";
import type { PassContext } from "../pass.ts";
import { canHoldBias } from "./held-bias.ts";
import type { Held, MaskProblem } from "./problem.ts";

/**
 * A softmax weight below e^-87 of the greatest is a subnormal float32. What is added to the scores makes none where it
 * falls by less, unless the scores themselves do.
 */
const subnormalFrom = 90;

/** What forms that attend part by part do where scores are steep. */
export const heldScores = {
  name: "held-scores",
  formula: "softmax(x) = softmax(max(x, m - c)), m a seen score of the row, where weights would be subnormal numbers",
  refuses: [],
} as const;

/** What to hold up; undefined where no weights are likely to be subnormal numbers. */
export function heldIn(problem: MaskProblem, cx: PassContext): Held | undefined {
  if (!isSteep(problem, cx)) return undefined;
  const isOfKeys = !partsInOrder(problem.added!).includes(index("q"));
  const { contrib, opset, kernels } = cx.target;
  const takesBias = contrib && opset >= 23 && kernels.has("attention");
  return isOfKeys && takesBias && canHoldBias(problem) ? "biases" : "scores";
}

/**
 * Whether what is added to the scores of one row, the last, may differ by so much that weights are subnormal numbers, as
 * linear biases do (ALiBi, arXiv:2108.12409). Numbers that are not known are guessed: whether it is right decides on time
 * alone. Where it is true all that is added is finite.
 */
function isSteep({ q, added, isPlain, program, sizes }: MaskProblem, cx: PassContext): boolean {
  const isHiding = (part: IndexExpr) => part.kind === "number" && hides(part.value);
  if (q.type.dtype !== "f32" || !isPlain || partsInOrder(added!).some(isHiding)) return false;
  const size = sizeIn(cx);
  const lengths = { B: size(sizes.batch), H: size(sizes.heads), Q: size(sizes.queries), K: size(sizes.keys) };
  const bounds = boundsWithin(lengths, program.tables);
  // What is NaN or infinite, as √(q - k) is of later keys, stays so whatever is added to hide it.
  const known = Object.fromEntries(Object.entries(program.lengths).filter(([, length]) => isStatic(length)));
  const everywhere = boundsWithin(known, program.tables);
  if (!termsOf(added!).every((term) => term.kind === "lookup" || isModerate(everywhere(term)))) return false;
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

/** Sums of parts that are shared more than that are taken as one. */
const mostSharing = 64;

/** What is summed up. */
function termsOf(root: IndexExpr): readonly IndexExpr[] {
  const terms = (expr: IndexExpr): readonly IndexExpr[] =>
    expr.kind === "apply" && (expr.fn === "add" || expr.fn === "sub") ? expr.args.flatMap(terms) : [expr];
  return sharing(root) > mostSharing ? [root] : terms(root);
}

const sizeIn =
  ({ dims }: PassContext) =>
  (dim: Dim): number =>
    evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, dims.get(name) ?? assumedSize(name)])));

const fallOf = (range: Range): number => (range.some(hides) ? Number.NaN : range[1] - range[0]);

/** Numbers as large are there to hide a key, which held scores would show again: what is made with some is left as it is. */
const hiding = 10_000;
const hides = (x: number): boolean => !(Math.abs(x) < hiding);
/** Larger tensors are no biases worth looking at. */
const mostElements = 1 << 22;

/**
 * The numbers a tensor is likely to hold; any where nothing tells. Integers that are given are taken for those of a mask.
 */
function rangesIn(cx: PassContext): (value: Value) => Range {
  const size = sizeIn(cx);
  const extremesOf = (tensor: HostTensor): Range => {
    const range = extremes(tensor);
    return range.some(hides) ? anyRange : range;
  };
  return rangesGiven(({ node, type }) => {
    switch (node.op) {
      case "constant":
        return extremesOf(attrsOf(node, "constant").value);
      case "param": {
        const { name } = attrsOf(node, "param");
        const isSmall = type.shape.every(isStatic) && size(product(type.shape)) <= mostElements;
        return isSmall && cx.weights?.has(name) ? extremesOf(cx.weights.read(name)) : anyRange;
      }
      case "input":
        return isFloat(type.dtype) ? anyRange : [0, 1];
      case "iota":
        return [0, size(attrsOf(node, "iota").size)];
      case "size":
        return [0, size(attrsOf(node, "size").of)];
      case "cumsum":
        return [0, Math.max(...type.shape.map(size))];
      default:
        return undefined;
    }
  });
}
