import { add, type Dim, divideExact, isStatic, product } from "../../../ir/dim.ts";
import type { DType } from "../../../ir/dtype.ts";
import type { Value } from "../../../ir/graph.ts";
import type { indexing } from "../../../ir/ops/indexing.ts";
import { axisFromFirst } from "../../../ir/types.ts";
import { cast, type LowerContext, type Lowerings } from "./lowering.ts";
import { int, type Ref, text } from "./ref.ts";
import { reshape, transpose } from "./shape.ts";

function gather({ e, operands, attrs: { batch, axis: along }, type }: LowerContext<"gather">): Ref {
  const [x, indices] = operands as readonly [Ref, Ref];
  const rank = x.type.shape.length;
  const axis = axisFromFirst(along, rank);
  if (batch === 0) return e.op(type, "Gather", operands, { axis: int(axis) });
  const elementwise = batch === rank - 1 && indices.type.shape.length === rank;
  if (elementwise) return e.op(type, "GatherElements", operands, { axis: int(axis) });
  // GatherND picks along the axis after the shared ones: the axes between come after it meanwhile.
  const [shape, between] = [x.type.shape, axis - batch];
  const own = indices.type.shape.length - batch;
  const axes = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const turned = transpose(e, x, [...axes(0, batch), axis, ...axes(batch, axis), ...axes(axis + 1, rank)]);
  const column = reshape(e, cast(e, indices, "i64"), [...indices.type.shape, 1]);
  const picked = [...indices.type.shape, ...shape.slice(batch, axis), ...shape.slice(axis + 1)];
  const rows = e.op({ dtype: type.dtype, shape: picked }, "GatherND", [turned, column], { batch_dims: int(batch) });
  const last = picked.length;
  const middle = batch + own;
  return transpose(e, rows, [
    ...axes(0, batch),
    ...axes(middle, middle + between),
    ...axes(batch, middle),
    ...axes(middle + between, last),
  ]);
}

/** NonZero answers one row of positions for each axis of its operand. */
function flatNonZero({ e, operands: [x], type: { shape } }: LowerContext<"flatNonZero">): Ref {
  const flat = reshape(e, x!, [product(x!.type.shape)]);
  const rows = e.op({ dtype: "i64", shape: [1, ...shape] }, "NonZero", [flat]);
  return e.op({ dtype: "i64", shape }, "Squeeze", [rows, e.indices([0])]);
}

/** Rows from this width on are scattered as columns, turned there and back: half the time (ONNX Runtime 1.30, CPU). */
const wide = 128;

/**
 * Rows added up by index where every row has its updates, and as many as the others, as where each token of a mixture
 * of experts has been to k of them: sorted by index, k follow one another. Whether it is so is seen when the model runs.
 */
function summedEvenly({ e, node, type }: LowerContext<"scatter">, otherwise: () => Ref): Ref | undefined {
  const [x, indices, updates] = node.operands as [Value, Value, Value];
  const { shape } = type;
  const [count, rows] = [product(indices.type.shape), shape[0]!];
  const each = divideExact(count, rows);
  if (typeof each !== "number" || each < 1) return undefined;
  const b = e.arena.build;
  const { dtype: whole } = indices.type;
  // One more, which comes last: the runtime cannot sort nothing.
  const last = b.reshape(b.cast(b.size({ of: rows }), { to: whole }), { shape: [1] });
  const all = b.concat(b.reshape(indices, { shape: [count] }), last, { axis: 0 });
  const { results } = e.arena.node("topK", [all], { k: add(count, 1), axis: 0, largest: false });
  const [sorted, order] = results.map((x) => b.slice(x, { axis: 0, start: 0, end: count })) as [Value, Value];
  const own = b.cast(b.reshape(b.iota({ size: rows }), { shape: [rows, 1] }), { to: whole });
  const missed = b.cast(b.not(b.equal(b.reshape(sorted, { shape: [rows, each] }), own)), { to: "i32" });
  const even = b.equal(b.reduceSum(missed, { axes: [0, 1] }), b.scalar(0, "i32"));
  e.lower([even, order]);
  const sums = e.branchOf("even", () => {
    const lines = b.reshape(updates, { shape: [count, ...shape.slice(1)] });
    const slots = b.reshape(b.gather(lines, order, { axis: 0 }), { shape: [rows, each, ...shape.slice(1)] });
    const sum = b.add(x, b.reduceSum(slots, { axes: [1] }));
    e.lower([sum]);
    return [e.ref(sum)];
  });
  return e.branch(
    [type],
    e.ref(even),
    sums,
    e.branchOf("uneven", () => [otherwise()]),
  )[0]!;
}

/**
 * ScatterElements, which goes through its updates one after the other: the runtime's ScatterND adds in parallel, and
 * loses sums where indices repeat.
 */
function scatter(context: LowerContext<"scatter">): Ref {
  const { e, operands, attrs, type } = context;
  const [x, indices, updates] = operands as readonly [Ref, Ref, Ref];
  const { shape } = type;
  // The runtime refuses indices of an empty axis.
  if (product(updates.type.shape) === 0) return x;
  const { batch, reduction } = attrs;
  const axis = axisFromFirst(attrs.axis, shape.length);
  const count = product(indices.type.shape.slice(batch));
  const places = shape.map((dim, i) => (i < batch ? dim : i === axis ? count : 1));
  const spread = shape.map((dim, i) => (i === axis ? count : dim));
  const elements = (x: Ref, places: Ref, updates: Ref, along: number): Ref => {
    const { shape } = updates.type;
    const same = places.type.shape.every((dim, i) => dim === shape[i]);
    const full = same ? places : e.op({ dtype: places.type.dtype, shape }, "Expand", [places, e.vector(shape)]);
    return e.op(x.type, "ScatterElements", [x, full, updates], { axis: int(along), reduction: text(reduction) });
  };
  const width = product(shape.slice(1));
  const turns = batch === 0 && axis === 0 && isStatic(width) && width >= wide;
  const put = (base: Ref, values: Ref): Ref => {
    if (!turns) return elements(base, reshape(e, indices, places), reshape(e, values, spread), axis);
    const columns = (x: Ref, count: Dim) => transpose(e, reshape(e, x, [count, width]), [1, 0]);
    const line = reshape(e, indices, [1, count]);
    const sums = elements(columns(base, shape[0]!), line, columns(values, count), 1);
    return reshape(e, transpose(e, sums, [1, 0]), shape);
  };
  if (turns && type.dtype === "f32" && reduction === "add") {
    const even = summedEvenly(context, () => put(x, updates));
    if (even) return even;
  }
  // The runtime has no sums of f16.
  if (type.dtype !== "f16" || reduction === "none") return put(x, updates);
  return cast(e, put(cast(e, x, "f32"), cast(e, updates, "f32")), "f16");
}

/** Element types the runtime searches for their largest; others are ranked. */
const searched: ReadonlySet<DType> = new Set(["f32", "f64", "i32", "i64", "i8", "u8"]);

function topK({ e, node, operands: [x], attrs }: LowerContext<"topK">): readonly (Ref | undefined)[] {
  const { shape, dtype } = x!.type;
  const axis = int(axisFromFirst(attrs.axis, shape.length));
  const types = node.results.map(({ type }) => type);
  const [values, indices] = node.results;
  // The runtime divides by zero over an empty tensor, whose first elements are as good as its largest.
  if (product(shape) === 0) {
    const ends = [e.vector([0]), e.vector([attrs.k]), e.indices([axisFromFirst(attrs.axis, shape.length)])];
    const first = e.op(values!.type, "Slice", [x, ...ends]);
    return [first, cast(e, first, indices!.type.dtype)];
  }
  if (attrs.k === 1 && !e.isUsed(values!) && searched.has(dtype)) {
    const opType = attrs.largest ? "ArgMax" : "ArgMin";
    return [undefined, e.op(indices!.type, opType, [x], { axis, keepdims: int(1), select_last_index: int(0) })];
  }
  return e.ops(types, "TopK", [x, e.vector([attrs.k])], { axis, largest: int(attrs.largest ? 1 : 0), sorted: int(1) });
}

export const indexingLowerings: Lowerings<keyof typeof indexing> = { gather, scatter, flatNonZero, topK };
