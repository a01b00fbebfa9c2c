import { attr, optional } from "../attrs.ts";
import { type Dim, product } from "../dim.ts";
import { isFloat, isInteger } from "../dtype.ts";
import { defineOp, type RefTensor } from "../op-def.ts";
import { broadcastStrides } from "../reference/broadcast.ts";
import { collapse, forEachRow, rowLength, rowSteps } from "../reference/strided.ts";
import { elementCount } from "../tensor.ts";
import { type TensorType, volume } from "../types.ts";
import { allButAxis, axisIn } from "./shape-rules.ts";

interface ReduceAttrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

const reduceAttrs = {
  axes: attr("ints", "axes to reduce; negative ones count from the end"),
  keepDims: optional("bool", "keep reduced axes with size 1", false),
};

const constraints = { C1: "x is a number", C2: "axes are distinct and within the rank" };

interface ReduceContext {
  readonly types: readonly TensorType[];
  readonly attrs: ReduceAttrs;
  require(condition: unknown, constraint: string, detail: string): void;
  need<T>(value: T | undefined, constraint: string, detail: string): T;
}

function inferReduction(cx: ReduceContext): TensorType {
  const { dtype, shape } = cx.types[0]!;
  cx.require(isFloat(dtype) || isInteger(dtype), "C1", `${dtype} is not numeric`);
  const axes = cx.need(
    normalAxes(cx.attrs.axes, shape.length),
    "C2",
    `axes [${cx.attrs.axes.join(", ")}] do not fit rank ${shape.length}`,
  );
  const kept: Dim[] = [];
  shape.forEach((dim, axis) => {
    if (!axes.has(axis)) kept.push(dim);
    else if (cx.attrs.keepDims) kept.push(1);
  });
  return { dtype, shape: kept };
}

function normalAxes(axes: readonly number[], rank: number): ReadonlySet<number> | undefined {
  const normal = new Set(axes.map((axis) => axisIn(axis, rank)));
  return normal.has(undefined) || normal.size !== axes.length ? undefined : (normal as Set<number>);
}

function reduceElements(
  x: RefTensor,
  attrs: ReduceAttrs,
  start: number,
  f: (a: number, b: number) => number,
): RefTensor {
  const axes = normalAxes(attrs.axes, x.dims.length)!;
  const full = x.dims.map((dim, axis) => (axes.has(axis) ? 1 : dim));
  const strides = broadcastStrides(full, x.dims);
  const data = new Float64Array(elementCount(full)).fill(start);
  const walk = collapse({ dims: x.dims, strides: [strides] });
  const length = rowLength(walk);
  const step = rowSteps(walk)[0]!;
  let i = 0;
  forEachRow(walk, ([at]) => {
    for (let j = 0, to = at!; j < length; j++, to += step) data[to] = f(data[to]!, x.data[i++]!);
  });
  const dims = attrs.keepDims ? full : x.dims.filter((_, axis) => !axes.has(axis));
  return { dims, data };
}

const larger = (a: number, b: number) => Math.max(a, b);
const smaller = (a: number, b: number) => Math.min(a, b);

/** Running sums along one axis, in blocks of `inner` elements. */
function runningSum(x: RefTensor, axis: number, exclusive: boolean, reverse: boolean): RefTensor {
  const inner = elementCount(x.dims.slice(axis + 1));
  const length = x.dims[axis]!;
  const data = new Float64Array(x.data.length);
  for (let block = 0; block < data.length; block += length * inner)
    for (let i = 0; i < inner; i++) {
      let total = 0;
      for (let step = 0; step < length; step++) {
        const at = block + (reverse ? length - 1 - step : step) * inner + i;
        if (exclusive) data[at] = total;
        total += x.data[at]!;
        if (!exclusive) data[at] = total;
      }
    }
  return { dims: x.dims, data };
}

/** Axes that are not reduced, moved up by those before them that are gone. */
function keptAxis(
  { types, attrs }: Pick<ReduceContext, "types" | "attrs">,
  _: number,
  axis: number,
): number | undefined {
  const axes = normalAxes(attrs.axes, types[0]!.shape.length)!;
  if (axes.has(axis)) return undefined;
  return attrs.keepDims ? axis : axis - [...axes].filter((gone) => gone < axis).length;
}

/** Many numbers in, one out, along axes; or as many as come in, for running sums. */
export const reduce = {
  reduceSum: defineOp({
    name: "reduceSum",
    doc: "Sum along `axes`; 0 over nothing.",
    operands: ["x"],
    attrs: reduceAttrs,
    traits: ["reduction"],
    constraints,
    infer: inferReduction,
    evaluate: ([x], { attrs }) => reduceElements(x!, attrs, 0, (a, b) => a + b),
    cost: ({ types }) => volume(types[0]!),
    follow: keptAxis,
  }),
  reduceMax: defineOp({
    name: "reduceMax",
    doc: "Largest along `axes`; -∞ over nothing.",
    operands: ["x"],
    attrs: reduceAttrs,
    traits: ["reduction"],
    constraints,
    infer: inferReduction,
    evaluate: ([x], { attrs }) => reduceElements(x!, attrs, Number.NEGATIVE_INFINITY, larger),
    cost: ({ types }) => volume(types[0]!),
    follow: keptAxis,
  }),
  reduceMin: defineOp({
    name: "reduceMin",
    doc: "Smallest along `axes`; ∞ over nothing.",
    operands: ["x"],
    attrs: reduceAttrs,
    traits: ["reduction"],
    constraints,
    infer: inferReduction,
    evaluate: ([x], { attrs }) => reduceElements(x!, attrs, Number.POSITIVE_INFINITY, smaller),
    cost: ({ types }) => volume(types[0]!),
    follow: keptAxis,
  }),
  cumsum: defineOp({
    name: "cumsum",
    doc: "Running sum along `axis`: element i is the sum of elements 0 to i, or of those before i if `exclusive`.",
    operands: ["x"],
    attrs: {
      axis: attr("int", "axis to sum along; a negative one counts from the end"),
      exclusive: optional("bool", "leave out the element itself", false),
      reverse: optional("bool", "sum from the end", false),
    },
    traits: [],
    constraints: { C1: "x is a number", C2: "the axis is within the rank" },
    infer: ({ types, attrs, require }) => {
      const { dtype, shape } = types[0]!;
      require(isFloat(dtype) || isInteger(dtype), "C1", `${dtype} is not numeric`);
      require(axisIn(attrs.axis, shape.length) !==
        undefined, "C2", `axis ${attrs.axis} does not fit rank ${shape.length}`);
      return types[0]!;
    },
    evaluate: ([x], { attrs }) => runningSum(x!, axisIn(attrs.axis, x!.dims.length)!, attrs.exclusive, attrs.reverse),
    cost: ({ types }) => volume(types[0]!),
    follow: allButAxis,
    grad: (b, { attrs, dy }) => [b.cumsum(dy, { ...attrs, reverse: !attrs.reverse })],
  }),
  reduceMean: defineOp({
    name: "reduceMean",
    doc: "Arithmetic mean along `axes`; NaN over nothing.",
    operands: ["x"],
    attrs: reduceAttrs,
    traits: ["reduction", "composite"],
    constraints: { ...constraints, C1: "x is floating point" },
    infer: (cx) => {
      cx.require(isFloat(cx.types[0]!.dtype), "C1", `${cx.types[0]!.dtype} is not floating point`);
      return inferReduction(cx);
    },
    cost: ({ types }) => volume(types[0]!),
    follow: keptAxis,
    decompose: (b, [x], attrs) => {
      const { shape, dtype } = x!.type;
      const axes = normalAxes(attrs.axes, shape.length)!;
      const count = product(shape.filter((_, axis) => axes.has(axis)));
      const total = b.reduceSum(x!, attrs);
      return b.div(
        total,
        typeof count === "number" ? b.scalar(count, dtype) : b.cast(b.size({ of: count }), { to: dtype }),
      );
    },
  }),
};
