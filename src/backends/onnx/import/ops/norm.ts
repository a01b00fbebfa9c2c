import { product } from "../../../../ir/dim.ts";
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

const layerNorm: Conversion = (cx) => {
  onlyFirst(cx, [1, 2]);
  const gains = [cx.value(1), ...(cx.has(2) ? [cx.value(2)] : [])];
  return overLast(cx, cx.value(0), gains, (x, [scale, ...bias]) =>
    cx.b.layerNorm(x, scale!, ...(bias as [Value?] as []), { epsilon: epsilonOf(cx) }),
  );
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

/** Norms of the standard domain. */
export const normConversions: Readonly<Record<string, Conversion>> = {
  LayerNormalization: layerNorm,
  RMSNormalization: rmsNorm,
  SimplifiedLayerNormalization: rmsNorm,
};

/** Norms of `com.microsoft`. */
export const contribNorms: Readonly<Record<string, Conversion>> = {
  SkipLayerNormalization: skipLayerNorm,
  SkipSimplifiedLayerNormalization: skipRmsNorm,
};
