import { attrsOf, type Build } from "../../ir/arena.ts";
import { parseSpec } from "../../ir/contraction.ts";
import type { Value } from "../../ir/graph.ts";
import { fromNumbers, toFloat64 } from "../../ir/tensor.ts";
import { sameShape } from "../../ir/types.ts";
import { maskedBelow } from "../attention/causal.ts";
import { scorePath } from "../attention/scores.ts";
import { fusion, type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";
import { a, any, type Term, t, x, y, z } from "../rewrite/term.ts";

const along = { axes: a("axes"), keepDims: true };
const total = (e: Term): Term => t.reduceSum(e, along);
const normalised = (e: Term): Term => t.div(e, total(e));

const oneAxis = "it runs over several axes";
const single = (axes: readonly number[]): boolean => axes.length === 1;

const counts = "what is put in the place of hidden scores still counts";

/** A tensor of zeros and ones as bools, moved as it is; undefined where it is not known to be one. */
function boolsOf(b: Build, value: Value): Value | undefined {
  const { node } = value;
  const inner = node.operands[0];
  const tensor = tensorOf(value);
  if (tensor) {
    const elements = toFloat64(tensor);
    if (!elements.every((x) => x === 0 || x === 1)) return undefined;
    return b.constant({ value: fromNumbers("bool", tensor.dims, elements) });
  }
  if (node.op === "cast") return inner!.type.dtype === "bool" ? inner : undefined;
  if (node.op !== "slice" && node.op !== "reshape" && node.op !== "broadcast") return undefined;
  const below = boolsOf(b, inner!);
  if (!below) return undefined;
  const { shape } = value.type;
  return node.op === "slice" ? b.slice(below, attrsOf(node, "slice")) : b[node.op](below, { shape });
}

/** The number c of (1 - seen) · c, as it is written or computed ahead. */
function fillOf(value: Value, seen: Value): number | undefined {
  const [inverse, factor] = value.node.operands;
  const [one, other] = inverse?.node.operands ?? [];
  const isWritten = value.node.op === "mul" && inverse!.node.op === "sub" && other === seen && scalarOf(one!) === 1;
  if (isWritten) return scalarOf(factor!);
  const tensors = [tensorOf(value), tensorOf(seen)];
  if (!tensors[0] || !tensors[1] || !sameShape(value.type.shape, seen.type.shape)) return undefined;
  const [added, mask] = tensors.map((tensor) => toFloat64(tensor!)) as [Float64Array, Float64Array];
  const fill = added[mask.indexOf(0)];
  return fill !== undefined && added.every((x, i) => x === (1 - mask[i]!) * fill) ? fill : undefined;
}

const moderate = new Set(["reduceMax", "reduceMin", "reduceMean"]);

/**
 * Whether what is taken off `whole` is its own greatest, least or mean element along an axis, or 0 in its place: anything
 * else that is the same along the axis, such as a mask of queries, may swallow what it is added to.
 */
function isShift({ node }: Value, whole: Value, axis: number): boolean {
  const [first, second, third] = node.operands;
  if (node.op === "select") return scalarOf(third!) === 0 && isShift(second!, whole, axis);
  const { length } = whole.type.shape;
  const axes = moderate.has(node.op) && first === whole ? (node.attrs.get("axes") as readonly number[]) : [];
  return (
    node.attrs.get("keepDims") === true &&
    axes.length === 1 &&
    (axes[0]! + length) % length === (axis + length) % length
  );
}

/** contract(softmax(x), v) for contract(exp x, v) that sums over `axis`, which the axis of the values takes the place of. */
function weighed(b: Build, product: Value, x: Value, axis: number): Value | undefined {
  const { op, operands, attrs } = product.node;
  const at = operands.findIndex(({ node }) => node.op === "exp" && node.operands[0] === x);
  if (op !== "contract" || at < 0) return undefined;
  const spec = attrs.get("spec") as string;
  const parsed = parseSpec(spec);
  const labels = parsed.operands[at]!;
  const summed = (axis + labels.length) % labels.length;
  const inPlace =
    labels.length === parsed.result.length &&
    parsed.result.every((label, i) => (i === summed ? !labels.includes(label) : label === labels[i]));
  if (!inPlace) return undefined;
  const weights = b.softmax(x, { axis });
  return b.contract(...operands.map((operand, i) => (i === at ? weights : operand)), { spec });
}

/** Softmax and its logarithm, spelled out. Without the maximum taken off, the result may overflow where this does not. */
export const softmaxRules: readonly Rule[] = [
  rule({
    name: "mask-by-product",
    formula: "x · y + (1 - y) · c = select(y, x, c), and - for +, where y is zeros and ones and x is finite",
    left: any(t.add(t.mul(x, y), z), t.sub(t.mul(x, y), z)),
    right: (m, b) => {
      const [scores, seen, { type, node }] = [m.value("x"), m.value("y"), m.root];
      const hidden = fillOf(m.value("z"), seen);
      const bools = hidden !== undefined && sameShape(scores.type.shape, type.shape) ? boolsOf(b, seen) : undefined;
      if (!bools) return undefined;
      const fill = node.op === "sub" ? -hidden! : hidden!;
      return fill <= maskedBelow ? b.select(bools, scores, b.scalar(fill, type.dtype)) : counts;
    },
    refuses: [counts],
    tolerance: "reordered",
  }),
  fusion({
    name: "softmax",
    formula: "exp x / Σ exp x = softmax(x)",
    left: normalised(t.exp(x)),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      return single(axes) ? b.softmax(m.value("x"), { axis: axes[0]! }) : oneAxis;
    },
    refuses: [oneAxis],
  }),
  rule({
    name: "softmax-of-values",
    formula: "contract(exp x, v) / Σ exp x = contract(softmax(x), v) where both sum over one axis of scores",
    left: t.div(y, total(t.exp(x))),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      const x = m.value("x");
      return single(axes) && !("reason" in scorePath(x)) ? weighed(b, m.value("y"), x, axes[0]!) : undefined;
    },
    tolerance: "reordered",
  }),
  fusion({
    name: "log-softmax",
    formula:
      "x - y - ln Σ exp(x - y) = logSoftmax(x) where y is the maximum, minimum or mean of x along the axis, or nothing",
    left: any(t.sub(x, t.log(total(t.exp(x)))), t.sub(x, t.add(t.log(total(t.exp(t.sub(x, y)))), y))),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      if (!single(axes)) return oneAxis;
      const shift = m.optional("y");
      if (shift && !isShift(shift, m.value("x"), axes[0]!)) return undefined;
      return b.logSoftmax(m.value("x"), { axis: axes[0]! });
    },
    refuses: [oneAxis],
  }),
  fusion({
    name: "log-of-softmax",
    left: t.log(t.softmax(x, { axis: a("axis") })),
    right: t.logSoftmax(x, { axis: a("axis") }),
  }),
  fusion({
    name: "exp-of-log-softmax",
    left: t.exp(t.logSoftmax(x, { axis: a("axis") })),
    right: t.softmax(x, { axis: a("axis") }),
  }),
  ...(["softmax", "logSoftmax"] as const).map((op) =>
    rule({
      name: `${op === "softmax" ? "softmax" : "log-softmax"}-shifted`,
      formula: `${op}(x - y) = ${op}(x) where y is the maximum, minimum or mean of x along the axis`,
      left: t[op](t.sub(x, y), { axis: a("axis") }),
      right: (m, b) => {
        const [whole, axis] = [m.value("x"), m.attr<number>("axis")];
        return isShift(m.value("y"), whole, axis) ? b[op](whole, { axis }) : undefined;
      },
      tolerance: "reordered",
    }),
  ),
];
