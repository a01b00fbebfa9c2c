import { type Dim, isStatic, product, show } from "../../../../ir/dim.ts";
import type { Value } from "../../../../ir/graph.ts";
import { type HostTensor, toFloat64 } from "../../../../ir/tensor.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";

const gather: Conversion = (cx) => {
  const [x, indices] = [cx.value(0), cx.value(1)];
  return cx.b.gather(x, indices, { axis: cx.axis(cx.int("axis", 0), x.type.shape.length) });
};

const axesUpTo = (from: number, to: number) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/** The order that moves `axis` to the end. */
const toEnd = (axis: number, rank: number) => [...axesUpTo(0, axis), ...axesUpTo(axis + 1, rank), axis];
const fromEnd = (axis: number, rank: number) => [...axesUpTo(0, axis), rank - 1, ...axesUpTo(axis, rank - 1)];

/** `x` without what lies beyond the sizes of other axes than `axis`. */
function cutTo(cx: NodeContext, x: Value, sizes: readonly Dim[], axis: number): Value {
  let cut = x;
  x.type.shape.forEach((dim, i) => {
    const end = sizes[i]!;
    if (i === axis || dim === end) return;
    if (isStatic(dim) && isStatic(end)) cut = cx.b.slice(cut, { axis: i, start: 0, end });
    else cx.same(dim, end);
  });
  return cut;
}

/** Elements picked one by one along an axis: a gather whose other axes are shared. */
const gatherElements: Conversion = (cx) => {
  const indices = cx.value(1);
  const rank = cx.operand(0).type.shape.length;
  const axis = cx.axis(cx.int("axis", 0), rank);
  const x = cutTo(cx, cx.value(0), indices.type.shape, axis);
  if (axis === rank - 1) return cx.b.gather(x, indices, { axis, batch: axis });
  const perm = toEnd(axis, rank);
  const turned = cx.b.gather(cx.b.transpose(x, { perm }), cx.b.transpose(indices, { perm }), {
    axis: rank - 1,
    batch: rank - 1,
  });
  return cx.b.transpose(turned, { perm: fromEnd(axis, rank) });
};

/** Places named by several indices as numbers of slices: the axes they run over are counted as one. */
function places(
  cx: NodeContext,
  x: Value,
  indices: Value,
  batch: number,
): { readonly flat: Value; readonly at: Value } {
  const [shape, names] = [x.type.shape, indices.type.shape];
  const depth = names.at(-1);
  if (depth === undefined || !isStatic(depth) || depth < 1)
    return unmodelled(`it names places by ${show(depth ?? 0)} indices`);
  const sizes = shape.slice(batch, batch + depth);
  const column = (i: number) =>
    cx.b.reshape(cx.b.slice(indices, { axis: -1, start: i, end: i + 1 }), { shape: names.slice(0, -1) });
  if (indices.type.dtype !== "i64") return unmodelled(`its indices are ${indices.type.dtype}`);
  if (depth === 1) return { flat: x, at: column(0) };
  const at = sizes
    .map((dim, i) => fromStart(cx, column(i), dim))
    .reduce((sum, next, i) => cx.b.add(cx.b.mul(sum, sizeOf(cx, sizes[i]!)), next));
  const flat = cx.b.reshape(x, { shape: [...shape.slice(0, batch), product(sizes), ...shape.slice(batch + depth)] });
  return { flat, at };
}

/** The axis along which a value counts 0, 1, … up to `size`, the same everywhere; undefined where it does not. */
function countingAxis(value: Value, size: Dim): number | undefined {
  const steps: Value[] = [];
  let current = value;
  while (current.node.op === "broadcast" || current.node.op === "reshape") {
    steps.push(current);
    current = current.node.operands[0]!;
  }
  if (current.node.op !== "iota" || current.type.shape[0] !== size) return undefined;
  let axis: number | undefined = 0;
  for (const { node, type } of steps.reverse()) {
    const before = node.operands[0]!.type.shape;
    if (node.op === "broadcast") axis += type.shape.length - before.length;
    else {
      const ahead = product(before.slice(0, axis));
      axis = type.shape.findIndex((dim, i) => dim === size && product(type.shape.slice(0, i)) === ahead);
    }
    if (axis < 0) return undefined;
  }
  return axis;
}

/** Exporters spell a moved tensor as places counted along axes: leading axes of x, each along an axis of the result. */
function movedByCounting(cx: NodeContext, x: Value, indices: Value): Value | undefined {
  const parts = indices.node.op === "concat" ? indices.node.operands : [];
  const [shape, names] = [x.type.shape, indices.type.shape];
  const rank = names.length - 1;
  if (parts.length !== names.at(-1) || parts.some(({ type }) => type.shape.at(-1) !== 1)) return undefined;
  const axes = parts.map((part, i) => countingAxis(part, shape[i]!) ?? -1);
  if (axes.some((axis) => axis < 0 || axis >= rank) || new Set(axes).size < axes.length) return undefined;
  const order = axes.map((_, i) => i).sort((p, q) => axes[p]! - axes[q]!);
  const rest = shape.slice(axes.length);
  const turned = cx.b.transpose(x, { perm: [...order, ...rest.map((_, i) => axes.length + i)] });
  const spread = names.slice(0, -1).map((_, axis) => (axes.includes(axis) ? shape[axes.indexOf(axis)]! : 1));
  const placed = cx.b.reshape(turned, { shape: [...spread, ...rest] });
  return cx.b.broadcast(placed, { shape: [...names.slice(0, -1), ...rest] });
}

const gatherNd: Conversion = (cx) => {
  const [x, indices] = [cx.value(0), cx.value(1)];
  const batch = cx.int("batch_dims", 0);
  const moved = batch === 0 ? movedByCounting(cx, x, indices) : undefined;
  if (moved) return moved;
  for (let axis = 0; axis < batch; axis++) cx.same(x.type.shape[axis]!, indices.type.shape[axis]!);
  const { flat, at } = places(cx, x, indices, batch);
  return cx.b.gather(flat, at, { axis: batch, batch });
};

const scatterNd: Conversion = (cx) => {
  const [x, indices, updates] = [cx.value(0), cx.value(1), cx.value(2)];
  const reduction = cx.text("reduction", "none");
  if (reduction !== "none" && reduction !== "add") return unmodelled(`it takes the ${reduction} of what meets`);
  const { flat, at } = places(cx, x, indices, 0);
  return cx.b.reshape(cx.b.scatter(flat, at, updates, { axis: 0, reduction }), { shape: x.type.shape });
};

/** Numbers that count from the end where they are negative, from the start. */
function fromStart(cx: NodeContext, at: Value, size: Dim): Value {
  const wide = at.type.dtype === "i64" ? at : cx.b.cast(at, { to: "i64" });
  if (countsFromStart(wide, size)) return wide;
  const negative = cx.b.less(wide, cx.b.scalar(0, "i64"));
  return cx.b.select(negative, cx.b.add(wide, sizeOf(cx, size)), wide);
}

const depthLimit = 24;

/** Whether numbers are known not to be negative, or were counted from the start of `size` already. */
function countsFromStart({ node }: Value, size?: Dim, depth = 0): boolean {
  const [x, y, z] = node.operands;
  if (depth > depthLimit) return false;
  const below = (value: Value, of?: Dim) => countsFromStart(value, of, depth + 1);
  switch (node.op) {
    case "iota":
    case "size":
      return true;
    case "constant":
      return toFloat64(node.attrs.get("value") as HostTensor).every((element) => element >= 0);
    case "cast":
    case "reshape":
    case "broadcast":
      return below(x!, size);
    case "add":
    case "mul":
      return below(x!) && below(y!);
    case "select": {
      const [low, zero] = x!.node.operands;
      const [added, count] = y!.node.operands;
      const guards = x!.node.op === "less" && y!.node.op === "add" && low === z && added === z;
      return guards && size !== undefined && below(zero!) && isSize(count!, size);
    }
    default:
      return false;
  }
}

const isSize = ({ node, type }: Value, dim: Dim): boolean =>
  node.op === "size"
    ? node.attrs.get("of") === dim
    : node.op === "constant" && type.shape.length === 0 && toFloat64(node.attrs.get("value") as HostTensor)[0] === dim;

const sizeOf = (cx: NodeContext, dim: Dim): Value => (isStatic(dim) ? cx.b.scalar(dim, "i64") : cx.b.size({ of: dim }));

/** Elements put back one by one along an axis: their places are counted through all axes. */
const scatterElements: Conversion = (cx) => {
  const [x, indices, updates] = [cx.value(0), cx.value(1), cx.value(2)];
  const reduction = cx.text("reduction", "none");
  if (reduction !== "none" && reduction !== "add") return unmodelled(`it takes the ${reduction} of what meets`);
  const { shape } = x.type;
  const axis = cx.axis(cx.int("axis", 0), shape.length);
  const sizes = indices.type.shape;
  const along = (i: number) =>
    cx.b.reshape(cx.b.iota({ size: sizes[i]! }), { shape: sizes.map((dim, j) => (i === j ? dim : 1)) });
  const at = shape
    .map((dim, i) => (i === axis ? fromStart(cx, indices, dim) : along(i)))
    .reduce((sum, next, i) => cx.b.add(cx.b.mul(sum, sizeOf(cx, shape[i]!)), next));
  const flat = (value: Value) => cx.b.reshape(value, { shape: [product(value.type.shape)] });
  return cx.b.reshape(cx.b.scatter(flat(x), flat(at), flat(updates), { axis: 0, reduction }), { shape });
};

const oneHot: Conversion = (cx) => {
  const [indices, values] = [cx.value(0), cx.value(2)];
  const depth = cx.contents(1)?.[0] ?? unmodelled("its depth is known at run time only");
  if (indices.type.dtype !== "i64") return unmodelled(`its indices are ${indices.type.dtype}`);
  const { shape } = indices.type;
  const axis = cx.axis(cx.int("axis", -1), shape.length + 1);
  const spread: readonly Dim[] = [...shape.slice(0, axis), 1, ...shape.slice(axis)];
  const column = cx.b.reshape(cx.b.iota({ size: depth }), { shape: [depth, ...shape.slice(axis).map(() => 1)] });
  const open = cx.b.reshape(indices, { shape: spread });
  const counted = fromStart(cx, open, depth);
  const pick = (i: number) => cx.b.reshape(cx.b.slice(values, { axis: 0, start: i, end: i + 1 }), { shape: [] });
  return cx.b.select(cx.b.equal(counted, column), pick(1), pick(0));
};

/** Operators that name places by number. */
export const indexingConversions: Readonly<Record<string, Conversion>> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: scatterNd,
  OneHot: oneHot,
};
