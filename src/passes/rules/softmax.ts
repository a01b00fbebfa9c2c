import { attrsOf, type Build } from "../../ir/arena.ts";
import { parseSpec } from "../../ir/contraction.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { fromNumbers, toFloat64 } from "../../ir/tensor.ts";
import { axisFromFirst, sameShape } from "../../ir/types.ts";
import { maskedBelow } from "../attention/causal.ts";
import { scorePath } from "../attention/scores.ts";
import { fusion, type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf, tensorOf, truthOf } from "../rewrite/scalar.ts";
import { a, any, loose, type Term, t, x, y, z } from "../rewrite/term.ts";

const along = { axes: a("axes"), keepDims: true };
const total = (e: Term): Term => t.reduceSum(e, along);
const normalised = (e: Term): Term => t.div(e, total(e));

const oneAxis = "it runs over several axes";
const single = (axes: readonly number[]): boolean => axes.length === 1;

const changedBeside = "a function of the scores and a sink take more operations than what is written";
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
  const truth = truthOf(value);
  if (truth) return truth;
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
    axisFromFirst(axes[0]!, length) === axisFromFirst(axis, length)
  );
}

/** Scores less a shift of their own, and the shift; those that a mask hides may be hidden before or after. */
interface Shifted {
  readonly whole: Value;
  readonly shift: Value;
}

function shiftedBy(b: Build, x: Value, axis: number): Shifted | undefined {
  const [first, second, third] = x.node.operands;
  if (x.node.op === "sub") return isShift(second!, first!, axis) ? { whole: first!, shift: second! } : undefined;
  if (x.node.op !== "select" || scalarOf(third!) !== Number.NEGATIVE_INFINITY) return undefined;
  const kept = shiftedBy(b, second!, axis);
  return kept && { ...kept, whole: b.select(first!, kept.whole, third!) };
}

/** What is 0 where a mask is off, and the mask. */
function zeroedBy(b: Build, { node, type }: Value): { readonly kept: Value; readonly seen: Value } | undefined {
  const [first, second, third] = node.operands;
  const whole = (kept: Value, seen: Value | undefined) =>
    seen && sameShape(kept.type.shape, type.shape) ? { kept, seen } : undefined;
  if (node.op === "select" && scalarOf(third!) === 0) return whole(second!, first!);
  if (node.op === "select" && scalarOf(second!) === 0) return whole(third!, b.not(first!));
  if (node.op !== "mul") return undefined;
  const [kept, factor] = weighs.has(first!.node.op) ? [first!, second!] : [second!, first!];
  return whole(kept, boolsOf(b, factor));
}

const weighs = new Set(["exp", "softmax"]);

/** Scores with minus infinity where a mask is off. */
const hiddenBy = (b: Build, x: Value, seen: Value): Value =>
  b.select(seen, x, b.scalar(Number.NEGATIVE_INFINITY, x.type.dtype));

/** x · c, or s · (c · d) for x = s · d; undefined where numbers would grow, and what hides keys might overflow. */
function timesAtMostOne(b: Build, x: Value, c: number): Value | undefined {
  const { op, operands } = x.node;
  const d = op === "mul" ? scalarOf(operands[1]!) : undefined;
  const [inner, factor] = d === undefined ? [x, c] : [operands[0]!, c * d];
  const rounded = inner.type.dtype === "f32" ? Math.fround(factor) : factor;
  return Math.abs(rounded) <= 1 ? b.mul(inner, b.scalar(rounded, inner.type.dtype)) : undefined;
}

/** Whether a product weighs values by `weights`, which sum over `axis`, and the axis of the values takes the place of that. */
function inPlace({ attrs }: Node, at: number, axis: number): boolean {
  const { operands, result } = parseSpec(attrs.get("spec") as string);
  const labels = operands[at]!;
  const summed = axisFromFirst(axis, labels.length);
  return (
    labels.length === result.length &&
    result.every((label, i) => (i === summed ? !labels.includes(label) : label === labels[i]))
  );
}

/** contract(softmax(x), v) for contract(exp x, v) that sums over `axis`, which the axis of the values takes the place of. */
function weighed(b: Build, product: Value, x: Value, axis: number): Value | undefined {
  const { op, operands } = product.node;
  const at = operands.findIndex(({ node }) => node.op === "exp" && node.operands[0] === x);
  const fits = op === "contract" && at >= 0 && inPlace(product.node, at, axis);
  return fits ? withOperand(b, product.node, at, b.softmax(x, { axis })) : undefined;
}

/** A product with another operand in one place. */
const withOperand = (b: Build, { operands, attrs }: Node, at: number, other: Value): Value =>
  b.contract(...operands.map((operand, i) => (i === at ? other : operand)), { spec: attrs.get("spec") as string });

/**
 * contract(softmax(x), v) for the quotient of what exp x makes of values and of the column of ones beside them, which is
 * Σ exp x.
 */
function dividedByColumn(b: Build, above: Value, below: Value): Value | undefined {
  const [product, column] = [above, below].map(({ node }) => node.operands[0]!);
  const [upper, lower] = [above, below].map(({ node }) => attrsOf(node, "slice")) as [Cut, Cut];
  if (product !== column || product!.node.op !== "contract") return undefined;
  const { operands, attrs } = product!.node;
  const spec = parseSpec(attrs.get("spec") as string);
  const at = operands.findIndex(({ node }) => node.op === "exp");
  const joined = operands[1 - at];
  if (operands.length !== 2 || at < 0 || joined?.node.op !== "concat" || joined.node.operands.length !== 2)
    return undefined;
  const [values, ones] = joined.node.operands as [Value, Value];
  const rank = spec.result.length;
  const [label, ...more] = new Set([upper, lower].map(({ axis }) => spec.result[axisFromFirst(axis, rank)]!));
  const { axis: joint } = attrsOf(joined.node, "concat");
  const own = spec.operands[1 - at]!;
  const width = own.indexOf(label!);
  const isWhole = width === axisFromFirst(joint, own.length) && more.length === 0 && upper.start === 0;
  const isSplit = upper.end === values.type.shape[width] && lower.start === upper.end && ones.type.shape[width] === 1;
  const [key, ...others] = spec.operands[at]!.filter((each) => !spec.result.includes(each));
  const one = ones.node.op === "broadcast" ? ones.node.operands[0]! : ones;
  if (!isWhole || !isSplit || scalarOf(one) !== 1 || key === undefined || others.length > 0) return undefined;
  const [x] = operands[at]!.node.operands as [Value];
  if (!own.includes(key) || spec.operands[at]!.includes(label!) || "reason" in scorePath(x)) return undefined;
  const pair = [b.softmax(x, { axis: spec.operands[at]!.indexOf(key) }), values];
  return b.contract(...(at === 0 ? pair : pair.reverse()), { spec: attrs.get("spec") as string });
}

interface Cut {
  readonly axis: number;
  readonly start: Dim;
  readonly end: Dim;
}

/** The tensor whose ln Σ exp along its last axis a value is, with that axis or without. */
function logSumOf(value: Value): Value | undefined {
  const { node } = value.node.op === "reshape" ? value.node.operands[0]! : value;
  const terms = node.op === "add" ? node.operands : [node.results[0]!];
  const log = terms.find((term) => term.node.op === "log");
  const shift = terms.find((term) => term !== log);
  const sum = log?.node.operands[0]?.node;
  const exp = sum?.op === "reduceSum" ? sum.operands[0]!.node : undefined;
  if (exp?.op !== "exp") return undefined;
  const [shifted] = exp.operands as [Value];
  const [whole, by] = shift && shifted.node.op === "sub" ? (shifted.node.operands as [Value, Value]) : [shifted];
  const last = whole.type.shape.length - 1;
  const [axis, ...others] = sum!.attrs.get("axes") as readonly number[];
  const rows = [...whole.type.shape.slice(0, -1), 1];
  const isLast = others.length === 0 && (axis === last || axis === -1);
  const isSame = sameShape([...value.type.shape, 1], rows) || sameShape(value.type.shape, rows);
  const isShifted = by === shift && (!by || isShift(by, whole, last));
  return isLast && isSame && isShifted ? whole : undefined;
}

/**
 * contract(softmax(x), v) · σ(ln Σ exp x - y) weighs as a softmax does that y takes part in: Σ / (Σ + exp y) is what the
 * sigmoid is.
 */
function withSink(b: Build, product: Value, gate: Value): Value | undefined {
  const difference = gate.node.op === "sub" ? gate.node.operands : [];
  const [scores, sink] = [difference[0] && logSumOf(difference[0]), difference[1]];
  const at = product.node.operands.findIndex(({ node }) => node.op === "softmax" && node.operands[0] === scores);
  if (product.node.op !== "contract" || !scores || at < 0) return undefined;
  const { shape } = scores.type;
  const axis = shape.length - 1;
  const softmax = product.node.operands[at]!.node;
  const isLast = [axis, -1].includes(attrsOf(softmax, "softmax").axis);
  if (!isLast || !inPlace(product.node, at, axis)) return undefined;
  const keepsAxis = difference[0]!.type.shape.length === shape.length;
  const column = keepsAxis ? sink! : b.reshape(sink!, { shape: [...sink!.type.shape, 1] });
  const joined = b.concat(scores, b.broadcast(column, { shape: [...shape.slice(0, -1), 1] }), { axis });
  const weights = b.slice(b.softmax(joined, { axis }), { axis, start: 0, end: shape[axis]! });
  return withOperand(b, product.node, at, weights);
}

/** Scores, and the one beside them that takes part in their softmax; none where it weighs nothing. */
interface Beside {
  readonly whole: Value;
  readonly sink: Value | undefined;
}

/** Half of the spacing of float32 at 1: no sum of 1 or more is changed by it. */
const lostInSum = 2 ** -25;

/** Scores less the greatest of them and of 0, the score beside them: one of both exponentials is 1, so that nothing is lost. */
function heldShift(x: Value, added: Value, axis: number): Shifted | undefined {
  if (x.node.op !== "sub") return undefined;
  const [whole, shift] = x.node.operands as [Value, Value];
  const [own, least] = shift.node.op === "max" ? shift.node.operands : [];
  const isHeld = own?.node.op === "reduceMax" && scalarOf(least!) === 0 && isShift(own, whole, axis);
  const [score] = added.node.operands;
  return isHeld && score?.node.op === "neg" && score.node.operands[0] === shift ? { whole, shift } : undefined;
}

/**
 * What a softmax that is spelled out as e^x / (Σ e^x + added) is one of: of x beside z, where e^z is added, or a number. Where
 * x = s - y, y being a shift of s, of s beside z where e^(z - y) is added; a number is then one only if it is lost in the sum.
 */
function besides(b: Build, x: Value, added: Value, axis: number): Beside | undefined {
  const { dtype } = x.type;
  const { whole, shift } = heldShift(x, added, axis) ?? shiftedBy(b, x, axis) ?? { whole: x, shift: undefined };
  const number = scalarOf(added);
  if (number !== undefined && number > 0) {
    if (!shift) return { whole: x, sink: b.scalar(Math.log(number), dtype) };
    const isLost = shift.node.op === "reduceMax" && dtype === "f32" && number <= lostInSum;
    return isLost ? { whole, sink: undefined } : undefined;
  }
  if (added.node.op !== "exp") return undefined;
  const [score] = added.node.operands as [Value];
  if (!shift) return { whole: x, sink: score };
  const { op, operands } = score.node;
  if (op === "neg" && operands[0] === shift) return { whole, sink: b.scalar(0, dtype) };
  return op === "sub" && operands[1] === shift ? { whole, sink: operands[0]! } : undefined;
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
  ...(["select", "mul"] as const).map((op) =>
    rule({
      name: `exp-under-${op}`,
      formula: `${op === "mul" ? "exp x · seen" : "select(seen, exp x, 0)"} = exp(select(seen, x, -inf)) where x are scores`,
      left: loose(op),
      right: (m, b) => {
        const { kept, seen } = zeroedBy(b, m.root) ?? {};
        const x = kept?.node.op === "exp" ? kept.node.operands[0]! : undefined;
        return x && !("reason" in scorePath(x)) ? b.exp(hiddenBy(b, x, seen!)) : undefined;
      },
      tolerance: "reordered",
    }),
  ),
  rule({
    name: "exp2",
    formula: "2ˣ = exp(x · ln 2) where x are scores",
    left: t.pow(2, x),
    right: (m, b) => {
      const x = m.value("x");
      return "reason" in scorePath(x) ? undefined : b.exp(b.mul(x, b.scalar(Math.LN2, x.type.dtype)));
    },
    tolerance: "reordered",
  }),
  rule({
    name: "scores-padded",
    formula: "softmax(pad(x)) = softmax(concat(x, c)) where x are scores and one number c is put behind them or before",
    left: t.softmax(t.pad(x), { axis: a("axis") }),
    right: (m, b) => {
      const scores = m.value("x");
      const { shape, dtype } = scores.type;
      const softmaxed = m.root.node.operands[0]!;
      const { axis, low, high, value } = attrsOf(softmaxed.node, "pad");
      const at = axisFromFirst(axis, shape.length);
      const isOne = (low === 0 && high === 1) || (low === 1 && high === 0);
      if (!isOne || at !== shape.length - 1 || "reason" in scorePath(scores)) return undefined;
      const column = b.broadcast(b.scalar(value, dtype), { shape: [...shape.slice(0, -1), 1] });
      const joined = low === 0 ? [scores, column] : [column, scores];
      return b.softmax(b.concat(...joined, { axis: at }), { axis: m.attr("axis") });
    },
  }),
  fusion({
    name: "softmax-of-seen",
    formula: "y / Σ y = softmax(select(seen, x, -inf)) where y is softmax(x) where seen, else 0, and x are scores",
    left: normalised(y),
    right: (m, b) => {
      const { kept, seen } = zeroedBy(b, m.value("y")) ?? {};
      const [x] = kept?.node.op === "softmax" ? kept.node.operands : [];
      const axes = m.attr<readonly number[]>("axes");
      if (!x || !seen || !single(axes) || "reason" in scorePath(x)) return undefined;
      const { length } = x.type.shape;
      const [axis, summed] = [attrsOf(kept!.node, "softmax").axis, axes[0]!].map((at) => axisFromFirst(at, length));
      return axis === summed ? b.softmax(hiddenBy(b, x, seen), { axis: summed! }) : undefined;
    },
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
    name: "softmax-beside-a-score",
    formula:
      "exp x / (Σ exp x + exp z) = softmax(x and z) without z where x are scores; a number for exp z counts so, or is lost",
    left: t.div(t.exp(x), t.add(total(t.exp(x)), z)),
    right: (m, b) => {
      const [x, added] = [m.value("x"), m.value("z")];
      const { shape } = x.type;
      const last = shape.length - 1;
      const [axis, ...others] = m.attr<readonly number[]>("axes").map((each) => axisFromFirst(each, shape.length));
      const found = axis === last && others.length === 0 ? besides(b, x, added, last) : undefined;
      const rows = [...shape.slice(0, -1), 1];
      const path = found && scorePath(found.whole);
      if (!path || "reason" in path) return undefined;
      const { whole, sink } = found;
      if (!sink) return b.softmax(whole, { axis: last });
      if (path.steps.some(({ kind }) => kind === "function")) return changedBeside;
      if (sink.type.shape.length > rows.length || (sink.type.shape.at(-1) ?? 1) !== 1) return undefined;
      const joined = b.concat(whole, b.broadcast(sink, { shape: rows }), { axis: last });
      return b.slice(b.softmax(joined, { axis: last }), { axis: last, start: 0, end: shape[last]! });
    },
    refuses: [changedBeside],
    tolerance: "reordered",
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
    name: "softmax-by-a-column",
    formula: "contract(exp x, v beside 1), divided by its last column = contract(softmax(x), v) where x are scores",
    left: t.div(t.slice(loose("contract")), t.slice(loose("contract"))),
    right: (m, b) => dividedByColumn(b, ...(m.root.node.operands as [Value, Value])),
  }),
  rule({
    name: "sink-by-sigmoid",
    formula: "contract(softmax(x), v) · sigmoid(ln Σ exp x - y) = contract(softmax(x and y) without y, v)",
    left: t.mul(x, any(t.sigmoid(y), t.reshape(t.sigmoid(y)))),
    right: (m, b) => {
      const [product, gate] = [m.value("x"), m.value("y")];
      const rows = [...product.type.shape.slice(0, -1), 1];
      const factor = m.root.node.operands.find((operand) => operand !== product);
      return factor && sameShape(factor.type.shape, rows) ? withSink(b, product, gate) : undefined;
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
      formula: `${op}((x - y) · c) = ${op}(x · c) where y is the maximum, minimum or mean of x along the axis, |x · c| ≤ |x|`,
      left: t[op](x, { axis: a("axis") }),
      right: (m, b) => {
        const [x, axis] = [m.value("x"), m.attr<number>("axis")];
        const c = x.node.op === "mul" ? scalarOf(x.node.operands[1]!) : undefined;
        const shifted = shiftedBy(b, c === undefined ? x : x.node.operands[0]!, axis);
        const scaled = shifted && (c === undefined ? shifted.whole : timesAtMostOne(b, shifted.whole, c));
        return scaled && b[op](scaled, { axis });
      },
      tolerance: "reordered",
    }),
  ),
];
