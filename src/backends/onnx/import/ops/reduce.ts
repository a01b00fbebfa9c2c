import { product } from "../../../../ir/dim.ts";
import { isFloat } from "../../../../ir/dtype.ts";
import type { Value } from "../../../../ir/graph.ts";
import { lastExchanged } from "../../../../ir/ops/indexing.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";

interface Along {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

/** Axes of a reduction: an attribute, from operator set `operandSince` on an operand; all where it names none. */
function along(cx: NodeContext, x: Value, operandSince: number): Along | undefined {
  const rank = x.type.shape.length;
  const given = cx.intsOrOperand("axes", 1, operandSince);
  if (!given?.length && cx.flag("noop_with_empty_axes", false)) return undefined;
  const axes = given?.length ? given.map((axis) => cx.axis(axis, rank)) : x.type.shape.map((_, axis) => axis);
  return { axes: [...axes].sort((p, q) => p - q), keepDims: cx.flag("keepdims", true) };
}

const reduction =
  (
    f: (cx: NodeContext, x: Value, by: Along) => Value,
    operandSince = 18,
    before = (_: NodeContext, x: Value) => x,
  ): Conversion =>
  (cx) => {
    const x = before(cx, cx.value(0));
    const by = along(cx, x, operandSince);
    return by ? f(cx, x, by) : x;
  };

const squared = (cx: NodeContext, x: Value) => cx.b.mul(x, x);
const summed = (cx: NodeContext, x: Value, by: Along) => cx.b.reduceSum(x, by);

/** ln Σ e^x, less the largest x meanwhile where that is finite. */
function logSumExp(cx: NodeContext, x: Value, { axes, keepDims }: Along): Value {
  const { shape, dtype } = x.type;
  if (!isFloat(dtype) || axes.some((axis) => shape[axis] === 0)) return unmodelled("it sums no floats");
  const largest = cx.b.reduceMax(x, { axes, keepDims: true });
  const finite = cx.b.less(cx.b.abs(largest), cx.b.scalar(Number.POSITIVE_INFINITY, dtype));
  const base = cx.b.select(finite, largest, cx.b.scalar(0, dtype));
  const total = cx.b.reduceSum(cx.b.exp(cx.b.sub(x, base)), { axes, keepDims: true });
  const full = cx.b.add(cx.b.log(total), base);
  return keepDims ? full : cx.b.reshape(full, { shape: shape.filter((_, i) => !axes.includes(i)) });
}

/** The first of the largest (or smallest) along an axis. */
const arg =
  (largest: boolean): Conversion =>
  (cx) => {
    const x = cx.value(0);
    const { shape } = x.type;
    if (cx.flag("select_last_index", false)) return unmodelled("it picks the last of equal elements");
    const axis = cx.axis(cx.int("axis", 0), shape.length);
    const [, at] = cx.arena.node("topK", [x], { k: 1, axis, largest }).results;
    return cx.flag("keepdims", true) ? at! : cx.b.reshape(at!, { shape: shape.filter((_, i) => i !== axis) });
  };

const topK: Conversion = (cx) => {
  if (!cx.flag("sorted", true)) return unmodelled("its order is the runtime's");
  const x = cx.value(0);
  const k = cx.opset < 10 ? cx.int("k") : cx.contents(1)?.[0];
  const axis = cx.axis(cx.int("axis", -1), x.type.shape.length);
  if (k === undefined) return unmodelled("how many is known at run time only");
  return cx.arena.node("topK", [x], { k, axis, largest: cx.flag("largest", true) }).results;
};

const cumsum: Conversion = (cx) => {
  const x = cx.value(0);
  const axis = cx.axis(cx.numbers(1)[0]!, x.type.shape.length);
  return cx.b.cumsum(x, { axis, exclusive: cx.flag("exclusive", false), reverse: cx.flag("reverse", false) });
};

/** 1 at the first of the largest along the last axis, 0 elsewhere. */
function hardmax(cx: NodeContext, x: Value): Value {
  const [, at] = cx.arena.node("topK", [x], { k: 1, axis: -1, largest: true }).results;
  return cx.b.cast(cx.b.equal(at!, cx.b.iota({ size: x.type.shape.at(-1)! })), { to: x.type.dtype });
}

/** Before operator set 13 the axes from `axis` on were normalised together. */
const normalised =
  (along: (cx: NodeContext, x: Value, axis: number) => Value): Conversion =>
  (cx) => {
    const x = cx.value(0);
    const { shape } = x.type;
    const axis = cx.axis(cx.int("axis", cx.opset < 13 ? 1 : -1), shape.length);
    const together = cx.opset < 13 && shape.slice(axis + 1).some((dim) => dim !== 1);
    if (!together) return along(cx, x, axis);
    const tail = product(shape.slice(axis));
    const flat = cx.b.reshape(x, { shape: [...shape.slice(0, axis), tail] });
    return cx.b.reshape(along(cx, flat, axis), { shape });
  };

/** Operators that make one number of many, and what normalises by such numbers. */
export const reduceConversions: Readonly<Record<string, Conversion>> = {
  ReduceSum: reduction(summed, 13),
  ReduceMean: reduction((cx, x, by) => cx.b.reduceMean(x, by)),
  ReduceMax: reduction((cx, x, by) => cx.b.reduceMax(x, by)),
  ReduceMin: reduction((cx, x, by) => cx.b.reduceMin(x, by)),
  ReduceSumSquare: reduction(summed, 18, squared),
  ReduceL1: reduction(summed, 18, (cx, x) => cx.b.abs(x)),
  ReduceL2: reduction((cx, x, by) => cx.b.sqrt(cx.b.reduceSum(x, by)), 18, squared),
  ReduceLogSum: reduction((cx, x, by) => cx.b.log(cx.b.reduceSum(x, by))),
  ReduceLogSumExp: reduction(logSumExp),
  ArgMax: arg(true),
  ArgMin: arg(false),
  TopK: topK,
  CumSum: cumsum,
  Softmax: normalised((cx, x, axis) => cx.b.softmax(x, { axis })),
  LogSoftmax: normalised((cx, x, axis) => cx.b.logSoftmax(x, { axis })),
  Hardmax: normalised((cx, x, axis) => {
    if (axis === x.type.shape.length - 1) return hardmax(cx, x);
    const perm = lastExchanged(axis, x.type.shape.length);
    return cx.b.transpose(hardmax(cx, cx.b.transpose(x, { perm })), { perm });
  }),
};
