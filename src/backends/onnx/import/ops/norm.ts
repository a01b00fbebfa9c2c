import { divideBySum } from "../../../../ir/attend.ts";
import { type Dim, divideExact, product } from "../../../../ir/dim.ts";
import { isFloat } from "../../../../ir/dtype.ts";
import type { Value } from "../../../../ir/graph.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";

const defaultEpsilon = 1e-5;
const epsilonOf = (cx: NodeContext) => Math.fround(cx.float("epsilon", defaultEpsilon));

/** Norms run over the last axis; axes that are normalised together become one first. */
function overLast(
  cx: NodeContext,
  x: Value,
  gains: readonly Value[],
  norm: (x: Value, gains: readonly Value[]) => Value,
): Value {
  const { shape } = x.type;
  const axis = cx.axis(cx.int("axis", -1), shape.length);
  if (axis === shape.length - 1) return norm(x, gains);
  const joined = product(shape.slice(axis));
  const flat = cx.b.reshape(x, { shape: [...shape.slice(0, axis), joined] });
  return cx.b.reshape(
    norm(
      flat,
      gains.map((gain) => cx.b.reshape(gain, { shape: [joined] })),
    ),
    { shape },
  );
}

function onlyFirst(cx: NodeContext, results: readonly number[]): void {
  if (results.some((i) => cx.isUsed(i))) unmodelled("its statistics are used");
}

/** Mean and 1 / √(variance + ε) over the axes from `axis` on, with 1 in place of them. */
function statistics(cx: NodeContext, x: Value): readonly [Value, Value] {
  const { shape, dtype } = x.type;
  const first = cx.axis(cx.int("axis", -1), shape.length);
  const by = { axes: shape.flatMap((_, axis) => (axis < first ? [] : [axis])), keepDims: true };
  const mean = cx.b.reduceMean(x, by);
  const centred = cx.b.sub(x, mean);
  const variance = cx.b.reduceMean(cx.b.mul(centred, centred), by);
  const deviation = cx.b.sqrt(cx.b.add(variance, cx.b.scalar(epsilonOf(cx), dtype)));
  return [mean, cx.b.div(cx.b.scalar(1, dtype), deviation)];
}

const layerNorm: Conversion = (cx) => {
  const used = cx.isUsed(1) || cx.isUsed(2);
  if (used && cx.operand(0).type.dtype !== "f32") return unmodelled("its statistics are of another element type");
  const gains = [cx.value(1), ...(cx.has(2) ? [cx.value(2)] : [])];
  const y = overLast(cx, cx.value(0), gains, (x, [scale, ...bias]) =>
    cx.b.layerNorm(x, scale!, ...(bias as [Value?] as []), { epsilon: epsilonOf(cx) }),
  );
  return used ? [y, ...statistics(cx, cx.value(0))] : y;
};

const rmsNorm: Conversion = (cx) => {
  onlyFirst(cx, [1]);
  return overLast(cx, cx.value(0), [cx.value(1)], (x, [scale]) => cx.b.rmsNorm(x, scale!, { epsilon: epsilonOf(cx) }));
};

/** Add & Norm; the last result is the sum. */
const skipLayerNorm: Conversion = (cx) => {
  onlyFirst(cx, [1, 2]);
  const sum = cx.b.add(cx.value(0), cx.value(1));
  const total = cx.has(4) ? cx.b.add(sum, cx.value(4)) : sum;
  const epsilon = Math.fround(cx.float("epsilon", 1e-12));
  const bias = cx.has(3) ? [cx.value(3)] : [];
  return [cx.b.layerNorm(total, cx.value(2), ...(bias as []), { epsilon }), undefined, undefined, total];
};

const skipRmsNorm: Conversion = (cx) => {
  onlyFirst(cx, [1, 2]);
  const sum = cx.b.add(cx.value(0), cx.value(1));
  const total = cx.has(3) ? cx.b.add(sum, cx.value(3)) : sum;
  const epsilon = Math.fround(cx.float("epsilon", 1e-12));
  return [cx.b.rmsNorm(total, cx.value(2), { epsilon }), undefined, undefined, total];
};

/** One number per channel, the second axis, beside a tensor of this rank. */
const perChannel = (cx: NodeContext, x: Value, rank: number): Value =>
  cx.b.reshape(x, { shape: [x.type.shape[0]!, ...Array.from({ length: rank - 2 }, () => 1)] });

const floatsOnly = (x: Value): Value =>
  isFloat(x.type.dtype) ? x : unmodelled(`${x.type.dtype} is not floating point`);

/** (x - mean) · scale / √(variance + ε) + bias, all four trained. */
const batchNorm: Conversion = (cx) => {
  if (cx.flag("training_mode", false) || cx.isUsed(1)) return unmodelled("it is trained");
  if (cx.opset < 9 && !cx.flag("spatial", true)) return unmodelled("it has a mean for each element");
  const x = floatsOnly(cx.value(0));
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => cx.value(i)) as [Value, Value, Value, Value];
  if ([scale, bias, mean, variance].some(({ type }) => type.dtype !== x.type.dtype))
    return unmodelled("its element types differ");
  const rank = x.type.shape.length;
  const deviation = cx.b.sqrt(cx.b.add(variance, cx.b.scalar(epsilonOf(cx), x.type.dtype)));
  const slope = perChannel(cx, cx.b.div(scale, deviation), rank);
  const centred = cx.b.sub(x, perChannel(cx, mean, rank));
  return cx.b.add(cx.b.mul(centred, slope), perChannel(cx, bias, rank));
};

/** (x - mean) / √(variance + ε) over the last axis. */
function normalised(cx: NodeContext, x: Value): Value {
  const last = { axes: [-1], keepDims: true };
  const centred = cx.b.sub(x, cx.b.reduceMean(x, last));
  const variance = cx.b.reduceMean(cx.b.mul(centred, centred), last);
  return cx.b.div(centred, cx.b.sqrt(cx.b.add(variance, cx.b.scalar(epsilonOf(cx), x.type.dtype))));
}

/** Each of `groups` of channels by itself; scale and bias are per channel, before operator set 21 per group. */
function groupNorm(cx: NodeContext, groups: Dim, perGroup: boolean): Value {
  const x = floatsOnly(cx.value(0));
  const { shape } = x.type;
  const rest = divideExact(product(shape.slice(1)), groups) ?? unmodelled("its groups differ in size");
  const flat = normalised(cx, cx.b.reshape(x, { shape: [shape[0]!, groups, rest] }));
  const affine = (y: Value) => {
    const [scale, bias] = [1, 2].map((i) => perChannel(cx, cx.value(i), y.type.shape.length)) as [Value, Value];
    return cx.b.add(cx.b.mul(y, scale), bias);
  };
  return perGroup ? cx.b.reshape(affine(flat), { shape }) : affine(cx.b.reshape(flat, { shape }));
}

/** x / (Σ |x|^p)^(1/p) along one axis; 0 where that sum is 0. */
const lpNorm: Conversion = (cx) => {
  const x = floatsOnly(cx.value(0));
  const along = { axes: [cx.axis(cx.int("axis", -1), x.type.shape.length)], keepDims: true };
  const size =
    cx.int("p", 2) === 1 ? cx.b.reduceSum(cx.b.abs(x), along) : cx.b.sqrt(cx.b.reduceSum(cx.b.mul(x, x), along));
  return divideBySum(cx.b, x, size);
};

/** Norms of the standard domain. */
export const normConversions: Readonly<Record<string, Conversion>> = {
  BatchNormalization: batchNorm,
  InstanceNormalization: (cx) => groupNorm(cx, cx.operand(0).type.shape[1]!, true),
  GroupNormalization: (cx) => groupNorm(cx, cx.int("num_groups", 1), cx.opset < 21),
  LpNormalization: lpNorm,
  LayerNormalization: layerNorm,
  RMSNormalization: rmsNorm,
  SimplifiedLayerNormalization: rmsNorm,
};

/** Norms of `com.microsoft`. */
export const contribNorms: Readonly<Record<string, Conversion>> = {
  SkipLayerNormalization: skipLayerNorm,
  SkipSimplifiedLayerNormalization: skipRmsNorm,
};
