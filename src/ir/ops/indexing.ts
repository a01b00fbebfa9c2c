import { attr, optional } from "../attrs.ts";
import { atLeast, type Dim, show, sub, symbolsOf } from "../dim.ts";
import { type DType, isFloat, isInteger } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { defineOp, type Emit, type InferContext, type RefTensor } from "../op-def.ts";
import { elementCount } from "../tensor.ts";
import { sameShape, sameType, showShape, showType, type TensorType, volume } from "../types.ts";
import { allButAxis, axisIn } from "./shape-rules.ts";

const places = {
  axis: optional("int", "axis of x the indices run along", 0),
  batch: optional("int", "how many leading axes x and the indices share", 0),
};

const placeConstraints = {
  C1: "axis is within the rank",
  C2: "indices are i64 or i32",
  C3: "x and indices agree in the first `batch` axes, all of them before `axis`",
};

/** `C1` to `C3`: the shape of what `indices` pick out of `x`. */
function pickedShape(cx: InferContext<typeof places>): readonly Dim[] {
  const [x, indices] = cx.types as readonly [TensorType, TensorType];
  const { batch } = cx.attrs;
  const axis = cx.need(
    axisIn(cx.attrs.axis, x.shape.length),
    "C1",
    `axis ${cx.attrs.axis} does not fit rank ${x.shape.length}`,
  );
  cx.require(indices.dtype === "i64" || indices.dtype === "i32", "C2", `${indices.dtype} is no index type`);
  const shared = batch >= 0 && batch <= axis && batch <= indices.shape.length;
  const agree = shared && sameShape(x.shape.slice(0, batch), indices.shape.slice(0, batch));
  cx.require(
    agree,
    "C3",
    `${batch} leading axes of ${showShape(x.shape)} and ${showShape(indices.shape)} do not agree`,
  );
  return [...x.shape.slice(0, axis), ...indices.shape.slice(batch), ...x.shape.slice(axis + 1)];
}

/**
 * Calls `visit` for each row an index names, in row-major order: where it lies in x and in what is picked, in elements.
 * Indices count from the end when negative; `from` is undefined for one outside of the axis.
 */
function forEachPlace(
  dims: readonly number[],
  indices: RefTensor,
  { axis: along, batch }: { readonly axis: number; readonly batch: number },
  visit: (from: number | undefined, to: number, length: number) => void,
): void {
  const axis = axisIn(along, dims.length)!;
  const [batches, between, row] = [dims.slice(0, batch), dims.slice(batch, axis), dims.slice(axis + 1)].map(
    elementCount,
  );
  const length = dims[axis]!;
  const each = elementCount(indices.dims.slice(batch));
  let to = 0;
  for (let b = 0; b < batches!; b++)
    for (let i = 0; i < between!; i++)
      for (let j = 0; j < each; j++, to += row!) {
        const index = indices.data[b * each + j]!;
        const at = index < 0 ? index + length : index;
        const inside = at >= 0 && at < length;
        visit(inside ? ((b * between! + i) * length + at) * row! : undefined, to, row!);
      }
}

const zeros = (b: Emit, { dtype, shape }: TensorType): Value => b.broadcast(b.scalar(0, dtype), { shape });

/** The order of axes that exchanges `axis` with the last; its own inverse. */
export const lastExchanged = (axis: number, rank: number): readonly number[] =>
  Array.from({ length: rank }, (_, i) => (i === axis ? rank - 1 : i === rank - 1 ? axis : i));

/** Places named by numbers: elements are picked, put back and ranked. */
export const indexing = {
  gather: defineOp({
    name: "gather",
    doc: "Picks slices of x along one axis by index: the axis is replaced by the indices' own axes. The first `batch` axes belong to both: each batch has its own indices.",
    operands: ["x", "indices"],
    attrs: places,
    traits: ["movement"],
    constraints: placeConstraints,
    infer: (cx) => ({ dtype: cx.types[0]!.dtype, shape: pickedShape(cx) }),
    evaluate: ([x, indices], { attrs, results }) => {
      // An index outside of the axis reads as NaN, so that it cannot pass unseen.
      const data = new Float64Array(elementCount(results[0]!.dims)).fill(Number.NaN);
      forEachPlace(x!.dims, indices!, attrs, (from, to, length) => {
        if (from !== undefined) data.set(x!.data.subarray(from, from + length), to);
      });
      return { dims: results[0]!.dims, data };
    },
    follow: ({ types, attrs: { axis: along, batch } }, operand, axis) => {
      const [x, indices] = types as readonly [TensorType, TensorType];
      const picked = axisIn(along, x.shape.length)!;
      if (axis < batch) return axis;
      if (operand === 1) return picked + axis - batch;
      if (axis === picked) return undefined;
      return axis < picked ? axis : axis + indices.shape.length - batch - 1;
    },
    grad: (b, { operands: [x, indices], attrs, dy }) => [
      b.scatter(zeros(b, x!.type), indices!, dy, { ...attrs, reduction: "add" }),
      undefined,
    ],
  }),
  scatter: defineOp({
    name: "scatter",
    doc: "x with `updates` at the places `gather` would pick with the same indices: `add` adds whatever meets there; with `none` updates replace, the last in row-major order where several meet.",
    operands: ["x", "indices", "updates"],
    attrs: { ...places, reduction: optional("string", "none or add", "none") },
    traits: [],
    constraints: {
      ...placeConstraints,
      C4: "updates have the element type of x and the shape `gather` gives",
      C5: "reduction is none, or add of numbers",
    },
    infer: (cx) => {
      const [x, , updates] = cx.types as readonly [TensorType, TensorType, TensorType];
      const wanted = { dtype: x.dtype, shape: pickedShape(cx) };
      cx.require(sameType(updates, wanted), "C4", `updates are ${showType(updates)}, not ${showType(wanted)}`);
      const { reduction } = cx.attrs;
      const known = reduction === "none" || (reduction === "add" && x.dtype !== "bool");
      cx.require(known, "C5", `${JSON.stringify(reduction)} is no reduction of ${x.dtype}`);
      return x;
    },
    evaluate: ([x, indices, updates], { attrs }) => {
      const data = x!.data.slice();
      const sums = attrs.reduction === "add";
      forEachPlace(x!.dims, indices!, attrs, (at, from, length) => {
        if (at === undefined) data.fill(Number.NaN);
        else if (sums) for (let i = 0; i < length; i++) data[at + i]! += updates!.data[from + i]!;
        else data.set(updates!.data.subarray(from, from + length), at);
      });
      return { dims: x!.dims, data };
    },
    cost: ({ types, attrs }) => (attrs.reduction === "add" ? volume(types[2]!) : 0),
    // Replaced elements have no gradient, and of updates that meet only the last has one: defined for sums alone.
    grad: (b, { operands: [, indices], attrs: { reduction, ...at }, dy }) =>
      reduction === "add" ? [dy, undefined, b.gather(dy, indices!, at)] : [undefined, undefined, undefined],
  }),
  flatNonZero: defineOp({
    name: "flatNonZero",
    doc: "The positions at which x is true, counted in row-major order, ascending. How many there are is known only once it ran: a symbol in the place of that number is bound to it.",
    operands: ["x"],
    attrs: { count: attr("dim", "how many there are: a new symbol, or what it is known to be") },
    traits: ["binds"],
    constraints: { C1: "x is bool" },
    infer: ({ types, attrs: { count }, require }) => {
      require(types[0]!.dtype === "bool", "C1", `it is ${showType(types[0]!)}`);
      return { dtype: "i64", shape: [count] };
    },
    evaluate: ([x]) => {
      const data = Float64Array.from([...x!.data.keys()].filter((at) => x!.data[at] !== 0));
      return { dims: [data.length], data };
    },
    limits: ({ types, attrs: { count } }) => new Map(symbolsOf(count).map((name) => [name, volume(types[0]!)])),
  }),
  topK: defineOp({
    name: "topK",
    doc: "The k largest (or smallest) elements along an axis in order, and where they stood (i64). Of equal ones the lower index comes first; where NaN stands is not defined.",
    operands: ["x"],
    attrs: {
      k: attr("dim", "how many"),
      axis: optional("int", "axis to rank", -1),
      largest: optional("bool", "the largest first instead of the smallest", true),
    },
    traits: [],
    constraints: {
      C1: "x is a number",
      C2: "axis is within the rank",
      C3: "k is not provably negative or above the axis' size",
    },
    infer: ({ types, attrs: { k, axis: along }, require, need }) => {
      const { dtype, shape } = types[0]!;
      require(isNumber(dtype), "C1", `${dtype} is not numeric`);
      const axis = need(axisIn(along, shape.length), "C2", `axis ${along} does not fit rank ${shape.length}`);
      const wrong = atLeast(-1, k) || atLeast(sub(k, 1), shape[axis]!);
      require(!wrong, "C3", `there are no ${show(k)} of ${show(shape[axis]!)} elements`);
      const result = shape.map((dim, i) => (i === axis ? k : dim));
      return [
        { dtype, shape: result },
        { dtype: "i64", shape: result },
      ];
    },
    evaluate: ([x], { attrs, results }) => rank(x!, results[0]!.dims, attrs),
    cost: ({ types }) => volume(types[0]!),
    follow: allButAxis,
    grad: (b, { operands: [x], results, attrs, dy }) => {
      const last = x!.type.shape.length - 1;
      const perm = lastExchanged(axisIn(attrs.axis, last + 1)!, last + 1);
      const turn = (value: Value) => b.transpose(value, { perm });
      const at = { axis: last, batch: last, reduction: "add" };
      return [turn(b.scatter(turn(zeros(b, x!.type)), turn(results[1]!), turn(dy), at))];
    },
  }),
};

const isNumber = (dtype: DType): boolean => isFloat(dtype) || isInteger(dtype);

function rank(
  x: RefTensor,
  dims: readonly number[],
  { axis: along, largest }: { readonly axis: number; readonly largest: boolean },
): readonly RefTensor[] {
  const axis = axisIn(along, dims.length)!;
  const [length, k] = [x.dims[axis]!, dims[axis]!];
  const inner = elementCount(dims.slice(axis + 1));
  const sign = largest ? -1 : 1;
  const [values, indices] = [new Float64Array(elementCount(dims)), new Float64Array(elementCount(dims))];
  for (let outer = 0; outer < elementCount(dims.slice(0, axis)); outer++)
    for (let i = 0; i < inner; i++) {
      const at = (index: number) => x.data[(outer * length + index) * inner + i]!;
      const order = Array.from({ length }, (_, index) => index).sort((p, q) => compare(at(p), at(q)) * sign || p - q);
      for (let j = 0; j < k; j++) {
        const to = (outer * k + j) * inner + i;
        indices[to] = order[j]!;
        values[to] = at(order[j]!);
      }
    }
  return [
    { dims, data: values },
    { dims, data: indices },
  ];
}

/** Order of numbers; a subtraction would make a NaN of two infinities. */
const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0);
