import { attr, optional } from "../attrs.ts";
import { add, type Dim, product, show, sub, sum, unify } from "../dim.ts";
import { defineOp, type RefTensor } from "../op-def.ts";
import { broadcastStrides, gatherStrided } from "../reference/broadcast.ts";
import { elementCount } from "../tensor.ts";
import { broadcastShapes, sameShape, showShape, volume } from "../types.ts";
import { allButAxis, axisIn, stretchedAxis } from "./shape-rules.ts";

const replaceAt = (shape: readonly Dim[], axis: number, dim: Dim) => shape.map((old, i) => (i === axis ? dim : old));
const found = (axis: number): number | undefined => (axis < 0 ? undefined : axis);
const stridesOf = (dims: readonly number[]) => dims.map((_, i) => elementCount(dims.slice(i + 1)));

function sliceElements(x: RefTensor, axis: number, start: number, dims: readonly number[]): RefTensor {
  const strides = stridesOf(x.dims);
  return gatherStrided(x.data, dims, strides, start * (strides[axis] ?? 1));
}

/** Elements change place or are repeated; none is computed. */
export const movement = {
  reshape: defineOp({
    name: "reshape",
    doc: "The same elements in row-major order under another shape.",
    operands: ["x"],
    attrs: { shape: attr("dims", "the new shape") },
    traits: ["movement"],
    constraints: { C1: "the number of elements is provably the same" },
    infer: ({ types, attrs, require }) => {
      const result = { dtype: types[0]!.dtype, shape: attrs.shape };
      require(volume(types[0]!) ===
        volume(
          result,
        ), "C1", `${showShape(types[0]!.shape)} and ${showShape(attrs.shape)} are not provably the same number of elements`);
      return result;
    },
    evaluate: ([x], { results }) => ({ dims: results[0]!.dims, data: x!.data }),
    // The same axis, where what stands before it has as many elements as before.
    follow: ({ types, attrs: { shape } }, _, axis) => {
      const from = types[0]!.shape;
      const before = product(from.slice(0, axis));
      const same = (at: number) => shape[at] === from[axis] && product(shape.slice(0, at)) === before;
      return same(axis) ? axis : found(shape.findIndex((_, at) => same(at)));
    },
  }),
  refine: defineOp({
    name: "refine",
    doc: "The same tensor with other dims to its name, where it is known that they are equal: behind a condition on lengths. Symbols that nothing else determines are bound to the sizes x has.",
    operands: ["x"],
    attrs: { shape: attr("dims", "the dims; a run in which they differ from those of x is wrong") },
    traits: ["movement", "binds"],
    constraints: { C1: "as many dims as x has" },
    infer: ({ types, attrs, require }) => {
      const { dtype, shape } = types[0]!;
      require(attrs.shape.length === shape.length, "C1", `${showShape(attrs.shape)} for ${showShape(shape)}`);
      return { dtype, shape: attrs.shape };
    },
    limits: ({ types, attrs: { shape } }) => {
      const limits = new Map<string, Dim>();
      shape.forEach((dim, axis) => void unify(dim, types[0]!.shape[axis]!, limits));
      return limits;
    },
    evaluate: ([x]) => x!,
    follow: (_, __, axis) => axis,
  }),
  transpose: defineOp({
    name: "transpose",
    doc: "Reorders axes: axis i of the result is axis perm[i] of x.",
    operands: ["x"],
    attrs: { perm: attr("ints", "for each result axis, the axis of x it comes from") },
    traits: ["movement"],
    constraints: { C1: "perm holds each axis of x once" },
    infer: ({ types, attrs, require }) => {
      const { dtype, shape } = types[0]!;
      const valid = attrs.perm.length === shape.length && shape.every((_, axis) => attrs.perm.includes(axis));
      require(valid, "C1", `[${attrs.perm.join(", ")}] is no order of ${shape.length} axes`);
      return { dtype, shape: attrs.perm.map((axis) => shape[axis]!) };
    },
    evaluate: ([x], { attrs, results }) => {
      const strides = stridesOf(x!.dims);
      return gatherStrided(
        x!.data,
        results[0]!.dims,
        attrs.perm.map((axis) => strides[axis]!),
      );
    },
    follow: ({ attrs }, _, axis) => found(attrs.perm.indexOf(axis)),
  }),
  broadcast: defineOp({
    name: "broadcast",
    doc: "Repeats x along new leading axes and along axes of size 1, as NumPy does.",
    operands: ["x"],
    attrs: { shape: attr("dims", "the result's shape") },
    traits: ["movement"],
    constraints: { C1: "x stretches to the shape" },
    infer: ({ types, attrs, require }) => {
      const common = broadcastShapes(types[0]!.shape, attrs.shape);
      require(common &&
        sameShape(
          common,
          attrs.shape,
        ), "C1", `${showShape(types[0]!.shape)} does not stretch to ${showShape(attrs.shape)}`);
      return { dtype: types[0]!.dtype, shape: attrs.shape };
    },
    evaluate: ([x], { results }) =>
      gatherStrided(x!.data, results[0]!.dims, broadcastStrides(x!.dims, results[0]!.dims)),
    follow: ({ types, results }, operand, axis) => stretchedAxis(types[operand]!, results[0]!, axis),
  }),
  slice: defineOp({
    name: "slice",
    doc: "Elements `start` up to but without `end` along one axis.",
    operands: ["x"],
    attrs: {
      axis: attr("int", "axis to cut"),
      start: attr("dim", "first element kept"),
      end: attr("dim", "first element not kept"),
    },
    traits: ["movement"],
    constraints: { C1: "axis is within the rank", C2: "0 ≤ start ≤ end ≤ size where these are integers" },
    infer: ({ types, attrs, require, need }) => {
      const { dtype, shape } = types[0]!;
      const axis = need(axisIn(attrs.axis, shape.length), "C1", `axis ${attrs.axis} does not fit rank ${shape.length}`);
      const { start, end } = attrs;
      const numbers = [0, start, end, shape[axis]!].filter((dim) => typeof dim === "number");
      const ordered = numbers.every((dim, i) => i === 0 || dim >= numbers[i - 1]!);
      require(ordered, "C2", `cannot cut ${start} to ${end} out of ${show(shape[axis]!)}`);
      return { dtype, shape: replaceAt(shape, axis, sub(end, start)) };
    },
    evaluate: ([x], { attrs, results, size }) =>
      sliceElements(x!, axisIn(attrs.axis, x!.dims.length)!, size(attrs.start), results[0]!.dims),
    follow: allButAxis,
  }),
  concat: defineOp({
    name: "concat",
    doc: "Joins tensors along one axis.",
    operands: ["...xs"],
    attrs: { axis: attr("int", "axis to join along") },
    traits: ["movement"],
    constraints: {
      C1: "there is at least one operand",
      C2: "axis is within the rank",
      C3: "operands agree in element type and in every other dimension",
    },
    infer: ({ types, attrs, require, need }) => {
      const first = need(types[0], "C1", "nothing to join");
      const axis = need(
        axisIn(attrs.axis, first.shape.length),
        "C2",
        `axis ${attrs.axis} does not fit rank ${first.shape.length}`,
      );
      for (const type of types) {
        const agrees = type.dtype === first.dtype && type.shape.length === first.shape.length;
        const same = agrees && sameShape(replaceAt(type.shape, axis, 0), replaceAt(first.shape, axis, 0));
        require(same, "C3", `${showShape(first.shape)} and ${showShape(type.shape)} do not join along axis ${axis}`);
      }
      return { dtype: first.dtype, shape: replaceAt(first.shape, axis, sum(types.map(({ shape }) => shape[axis]!))) };
    },
    evaluate: (operands, { attrs, results }) => joinElements(operands, attrs.axis, results[0]!.dims),
    follow: allButAxis,
  }),
  split: defineOp({
    name: "split",
    doc: "Cuts x along one axis into consecutive parts, one result each.",
    operands: ["x"],
    attrs: { axis: attr("int", "axis to cut"), sizes: attr("dims", "size of each part") },
    traits: ["movement"],
    constraints: { C1: "axis is within the rank", C2: "the sizes provably add up to the dimension" },
    infer: ({ types, attrs, require, need }) => {
      const { dtype, shape } = types[0]!;
      const axis = need(axisIn(attrs.axis, shape.length), "C1", `axis ${attrs.axis} does not fit rank ${shape.length}`);
      require(sum(attrs.sizes) ===
        shape[axis], "C2", `${showShape(attrs.sizes)} does not add up to ${show(shape[axis]!)}`);
      return attrs.sizes.map((size) => ({ dtype, shape: replaceAt(shape, axis, size) }));
    },
    evaluate: ([x], { attrs, results }) => {
      const axis = axisIn(attrs.axis, x!.dims.length)!;
      let start = 0;
      return results.map(({ dims }) => {
        const part = sliceElements(x!, axis, start, dims);
        start += dims[axis]!;
        return part;
      });
    },
    follow: allButAxis,
  }),
  pad: defineOp({
    name: "pad",
    doc: "Adds elements of one value before and after x along one axis.",
    operands: ["x"],
    attrs: {
      axis: attr("int", "axis to lengthen"),
      low: attr("dim", "how many before"),
      high: attr("dim", "how many after"),
      value: optional("float", "the value added", 0),
    },
    traits: ["movement"],
    constraints: { C1: "axis is within the rank", C2: "nothing is cut off" },
    infer: ({ types, attrs, require, need }) => {
      const { dtype, shape } = types[0]!;
      const axis = need(axisIn(attrs.axis, shape.length), "C1", `axis ${attrs.axis} does not fit rank ${shape.length}`);
      const cuts = [attrs.low, attrs.high].some((dim) => typeof dim === "number" && dim < 0);
      require(!cuts, "C2", "cannot pad by less than nothing");
      return { dtype, shape: replaceAt(shape, axis, add(shape[axis]!, add(attrs.low, attrs.high))) };
    },
    evaluate: ([x], { attrs, results, size }) => {
      const axis = axisIn(attrs.axis, x!.dims.length)!;
      const fill = (length: number): RefTensor => {
        const dims = x!.dims.map((dim, i) => (i === axis ? length : dim));
        return { dims, data: new Float64Array(elementCount(dims)).fill(attrs.value) };
      };
      return joinElements([fill(size(attrs.low)), x!, fill(size(attrs.high))], axis, results[0]!.dims);
    },
    follow: allButAxis,
  }),
};

function joinElements(parts: readonly RefTensor[], axis: number, dims: readonly number[]): RefTensor {
  const at = axisIn(axis, dims.length)!;
  const outer = elementCount(dims.slice(0, at));
  const rows = parts.map((part) => elementCount(part.dims.slice(at)));
  const data = new Float64Array(elementCount(dims));
  let position = 0;
  for (let o = 0; o < outer; o++)
    parts.forEach((part, p) => {
      data.set(part.data.subarray(o * rows[p]!, (o + 1) * rows[p]!), position);
      position += rows[p]!;
    });
  return { dims, data };
}
