import { attrsOf, type Build } from "../../ir/arena.ts";
import type { Value } from "../../ir/graph.ts";
import { fromNumbers, toFloat64 } from "../../ir/tensor.ts";
import { sameShape } from "../../ir/types.ts";
import { maskedBelow } from "../attention/causal.ts";
import { fusion, type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";
import { a, any, type Term, t, x, y, z } from "../rewrite/term.ts";

const along = { axes: a("axes"), keepDims: true };
const shifted = t.sub(x, t.reduceMax(x, along));
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
    formula: "exp(x - max x) / Σ exp(x - max x) = softmax(x), also without the maximum",
    left: any(normalised(t.exp(shifted)), normalised(t.exp(x))),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      return single(axes) ? b.softmax(m.value("x"), { axis: axes[0]! }) : oneAxis;
    },
    refuses: [oneAxis],
  }),
  fusion({
    name: "log-softmax",
    formula: "x - max x - ln Σ exp(x - max x) = logSoftmax(x), also without the maximum",
    left: any(t.sub(shifted, t.log(total(t.exp(shifted)))), t.sub(x, t.log(total(t.exp(x))))),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      return single(axes) ? b.logSoftmax(m.value("x"), { axis: axes[0]! }) : oneAxis;
    },
    refuses: [oneAxis],
  }),
  fusion({
    name: "log-of-softmax",
    left: t.log(t.softmax(x, { axis: a("axis") })),
    right: t.logSoftmax(x, { axis: a("axis") }),
  }),
];
