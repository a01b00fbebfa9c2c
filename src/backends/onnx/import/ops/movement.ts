import { add, atLeast, type Dim, divideExact, isStatic, mul, product, show } from "../../../../ir/dim.ts";
import type { Value } from "../../../../ir/graph.ts";
import { sameShape } from "../../../../ir/types.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { isName } from "../symbols.ts";
import { unmodelled } from "../unmodelled.ts";

/** `x` under another shape; the sizes that make both as large have to be equal for the file to run. */
export function reshapeTo(cx: NodeContext, x: Value, shape: readonly Dim[]): Value {
  const [from, to] = withoutShared(x.type.shape, shape);
  const nothing = [x.type.shape, shape].every((dims) => dims.includes(0));
  if (!nothing) cx.same(product(from), product(to));
  const [before, after] = [x.type.shape, shape].map((dims) => dims.map((dim) => cx.symbols.settled(dim)));
  return cx.b.reshape(sameShape(before!, x.type.shape) ? x : cx.b.refine(x, { shape: before! }), { shape: after! });
}

/** What two shapes do not have in common, in any order. */
function withoutShared(a: readonly Dim[], b: readonly Dim[]): readonly [readonly Dim[], readonly Dim[]] {
  const left = [...a];
  const right = b.filter((dim) => {
    const at = left.indexOf(dim);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return [left, right];
}

const reshape: Conversion = (cx) => {
  const x = cx.value(0);
  const given = cx.opset < 5 ? cx.ints("shape") : cx.contents(1);
  if (!given) return unmodelled("its shape is known at run time only");
  const copies = !cx.flag("allowzero", false);
  const dims = given.map((dim, axis) =>
    dim === 0 && copies ? (x.type.shape[axis] ?? unmodelled("no axis to copy")) : dim,
  );
  if (!dims.includes(-1)) return reshapeTo(cx, x, dims);
  const [from, to] = withoutShared(
    x.type.shape,
    dims.filter((dim) => dim !== -1),
  );
  const rest = divideExact(product(from), product(to)) ?? named(cx, x.type.shape, dims);
  return cx.b.reshape(x, { shape: dims.map((dim) => (dim === -1 ? rest : dim)) });
};

/** No size follows where an axis has one name and is to have another: models that flatten a mask by the batch of the tokens. */
function named(cx: NodeContext, from: readonly Dim[], to: readonly Dim[]): never {
  const axis = to.findIndex((dim, i) => from[i] !== undefined && dim !== from[i] && isName(dim) && isName(from[i]));
  if (axis >= 0) cx.same(from[axis]!, to[axis]!);
  return unmodelled("the size left out does not follow");
}

const expand: Conversion = (cx) => {
  const x = cx.value(0);
  const to = cx.contents(1) ?? unmodelled("its shape is known at run time only");
  return cx.b.broadcast(x, { shape: stretched(cx, x.type.shape, to) });
};

function stretched(cx: NodeContext, a: readonly Dim[], b: readonly Dim[]): readonly Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x === 1 || y === 1) return x === 1 ? y : x;
    cx.same(x, y);
    return x;
  });
}

const squeeze: Conversion = (cx) => {
  const x = cx.value(0);
  const { shape } = x.type;
  const axes = cx.intsOrOperand("axes", 1, 13);
  if (!axes && !shape.every(isStatic)) return unmodelled("which axes are 1 is known at run time only");
  const gone = new Set(
    axes?.map((axis) => cx.axis(axis, shape.length)) ?? shape.flatMap((dim, i) => (dim === 1 ? [i] : [])),
  );
  for (const axis of gone) cx.same(shape[axis]!, 1);
  return cx.b.reshape(x, { shape: shape.filter((_, axis) => !gone.has(axis)) });
};

/**
 * What a Squeeze of all axes of 1 gives, but for its first axis, which it lacks too where a run makes that 1; undefined where
 * another may be.
 */
export function withFirstAxis(cx: NodeContext): Value | undefined {
  const x = cx.value(0);
  const kept = x.type.shape.filter((dim) => dim !== 1);
  return !cx.has(1) && !cx.ints("axes") && kept.slice(1).every(isStatic) ? cx.b.reshape(x, { shape: kept }) : undefined;
}

const unsqueeze: Conversion = (cx) => {
  const x = cx.value(0);
  const axes = cx.intsOrOperand("axes", 1, 13) ?? unmodelled("it has no axes");
  const rank = x.type.shape.length + axes.length;
  const added = new Set(axes.map((axis) => cx.axis(axis, rank)));
  const rest = [...x.type.shape];
  return cx.b.reshape(x, { shape: Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : rest.shift()!)) });
};

const flatten: Conversion = (cx) => {
  const x = cx.value(0);
  const { shape } = x.type;
  const axis = cx.int("axis", 1);
  const at = axis < 0 ? axis + shape.length : axis;
  return cx.b.reshape(x, { shape: [product(shape.slice(0, at)), product(shape.slice(at))] });
};

const transpose: Conversion = (cx) => {
  const x = cx.value(0);
  const perm = cx.ints("perm") ?? x.type.shape.map((_, i) => x.type.shape.length - 1 - i);
  return cx.b.transpose(x, { perm });
};

/** A bound of a slice counted from 0 and kept within the axis, where that is certain. */
function bound({ symbols }: NodeContext, given: Dim, size: Dim, isEnd: boolean): Dim {
  const from = atLeast(-1, given) ? add(size, given) : given;
  if (isStatic(given) && given < -(2 ** 30)) return 0;
  if (isStatic(given) && given > 2 ** 30) return size;
  if (atLeast(from, size)) return size;
  if (atLeast(0, from)) return 0;
  if (isStatic(from) && isStatic(size)) return Math.min(Math.max(from, 0), size);
  // Sizes are taken to be such that slices neither begin before the start nor run over the end of a table, and nothing is empty.
  return isEnd && isStatic(from) && from > 1 ? symbols.least(from, size) : from;
}

const slice: Conversion = (cx) => {
  const x = cx.value(0);
  const { shape } = x.type;
  const [starts, ends] = cx.opset < 10 ? [cx.ints("starts"), cx.ints("ends")] : [cx.contents(1), cx.contents(2)];
  if (!starts || !ends) return unmodelled("its bounds are known at run time only");
  const axes = (cx.opset < 10 ? cx.ints("axes") : cx.has(3) ? cx.numbers(3) : undefined) ?? starts.map((_, i) => i);
  const steps = (cx.opset >= 10 && cx.has(4) ? cx.numbers(4) : undefined) ?? axes.map(() => 1);
  if (steps.some((step) => step !== 1)) return strided(cx, x, starts, ends, axes, steps);
  let cut = x;
  axes.forEach((given, i) => {
    const axis = cx.axis(given, shape.length);
    const [start, end] = [bound(cx, starts[i]!, shape[axis]!, false), bound(cx, ends[i]!, shape[axis]!, true)];
    const empty = isStatic(start) && isStatic(end) && end < start;
    if (start !== 0 || end !== shape[axis]) cut = cx.b.slice(cut, { axis, start, end: empty ? start : end });
  });
  return cut;
};

/** A step that divides the axis picks one of each group of neighbours: a slice of the axis cut into groups. */
function oneOfEach(
  cx: NodeContext,
  x: Value,
  { axis, start, end, step }: { axis: number; start: number; end: number; step: number },
): Value | undefined {
  const { shape } = x.type;
  const size = shape[axis];
  if (typeof size !== "number" || step < 2 || size % step !== 0 || start < 0 || start >= step || end < size)
    return undefined;
  const kept = [...shape.slice(0, axis), size / step];
  const groups = cx.b.reshape(x, { shape: [...kept, step, ...shape.slice(axis + 1)] });
  const picked = cx.b.slice(groups, { axis: axis + 1, start, end: start + 1 });
  return cx.b.reshape(picked, { shape: [...kept, ...shape.slice(axis + 1)] });
}

/** Steps other than 1 pick elements one by one, along axes of a known size. */
function strided(
  cx: NodeContext,
  x: Value,
  starts: readonly Dim[],
  ends: readonly Dim[],
  axes: readonly number[],
  steps: readonly number[],
): Value {
  let cut = x;
  axes.forEach((given, i) => {
    const axis = cx.axis(given, x.type.shape.length);
    const [size, start, end, step] = [cut.type.shape[axis]!, starts[i]!, ends[i]!, steps[i]!];
    if (!isStatic(size) || !isStatic(start) || !isStatic(end)) return unmodelled("it steps over an axis of open size");
    const one = oneOfEach(cx, cut, { axis, start, end, step });
    if (one) {
      cut = one;
      return;
    }
    const places = steppedPlaces(size, start, end, step);
    cut = cx.b.gather(cut, cx.constant("i64", [places.length], places), { axis });
  });
  return cut;
}

function steppedPlaces(size: number, start: number, end: number, step: number): readonly number[] {
  const least = step > 0 ? 0 : -1;
  const most = step > 0 ? size : size - 1;
  const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, least), most);
  const places: number[] = [];
  for (let at = clamp(start); step > 0 ? at < clamp(end) : at > clamp(end); at += step) places.push(at);
  return places;
}

const concat: Conversion = (cx) => {
  const values = cx.values();
  const rank = values[0]!.type.shape.length;
  const axis = cx.axis(cx.int("axis", 1), rank);
  for (const { type } of values.slice(1))
    type.shape.forEach((dim, i) => {
      if (i !== axis) cx.same(values[0]!.type.shape[i]!, dim);
    });
  return cx.b.concat(...values, { axis });
};

/** Sizes a Split cuts an axis of this size into. */
export function splitSizes(cx: NodeContext, size: Dim): readonly Dim[] {
  const given =
    cx.opset < 13
      ? cx.ints("split")
      : cx.has(1)
        ? (cx.contents(1) ?? unmodelled("its sizes are known at run time only"))
        : undefined;
  const { length } = cx.node.outputs;
  if (cx.int("num_outputs", length) !== length) return unmodelled("it has more or fewer results than it says");
  return given ?? equalParts(size, length);
}

const split: Conversion = (cx) => {
  const x = cx.value(0);
  const axis = cx.axis(cx.int("axis", 0), x.type.shape.length);
  const sizes = splitSizes(cx, x.type.shape[axis]!);
  cx.same(x.type.shape[axis]!, sizes.reduce(add, 0));
  return cx.arena.node("split", [x], { axis, sizes }).results;
};

/** Parts of one size, the last one smaller where they do not come out even. */
function equalParts(size: Dim, count: number): readonly Dim[] {
  const part = divideExact(size, count);
  if (part !== undefined) return Array.from({ length: count }, () => part);
  if (!isStatic(size)) return unmodelled("its parts are known at run time only");
  const chunk = Math.ceil(size / count);
  return Array.from({ length: count }, (_, i) => Math.max(0, Math.min(chunk, size - i * chunk)));
}

/** Repeats become a new axis before each one that is repeated. */
const tile: Conversion = (cx) => {
  const x = cx.value(0);
  const repeats =
    cx.opset < 6
      ? unmodelled("it is of an old form")
      : (cx.contents(1) ?? unmodelled("its repeats are known at run time only"));
  const { shape } = x.type;
  const open = shape.flatMap((dim, i) => (repeats[i] === 1 ? [dim] : [1, dim]));
  const full = shape.flatMap((dim, i) => (repeats[i] === 1 ? [dim] : [repeats[i]!, dim]));
  const stretchedOut = cx.b.broadcast(cx.b.reshape(x, { shape: open }), { shape: full });
  return cx.b.reshape(stretchedOut, { shape: shape.map((dim, i) => mul(dim, repeats[i]!)) });
};

/** Whole factors repeat each element beside itself. */
const upsample: Conversion = (cx) => {
  if (cx.text("mode", "nearest") !== "nearest") return unmodelled("it interpolates");
  const x = cx.value(0);
  const factors = cx.opset < 9 ? (cx.floats("scales") ?? []) : cx.constants(1);
  if (factors.some((factor) => !Number.isInteger(factor) || factor < 1)) return unmodelled("its factors are not whole");
  const { shape } = x.type;
  const open = shape.flatMap((dim, i) => (factors[i] === 1 ? [dim] : [dim, 1]));
  const full = shape.flatMap((dim, i) => (factors[i] === 1 ? [dim] : [dim, factors[i]!]));
  const repeated = cx.b.broadcast(cx.b.reshape(x, { shape: open }), { shape: full });
  return cx.b.reshape(repeated, { shape: shape.map((dim, i) => mul(dim, factors[i]!)) });
};

const pad: Conversion = (cx) => {
  if (cx.text("mode", "constant") !== "constant") return unmodelled(`it pads by "${cx.text("mode", "constant")}"`);
  const x = cx.value(0);
  const rank = x.type.shape.length;
  const amounts =
    (cx.opset < 11 ? (cx.ints("pads") ?? cx.ints("paddings")) : cx.contents(1)) ??
    unmodelled("its amounts are known at run time only");
  const axes = cx.opset >= 18 && cx.has(3) ? cx.numbers(3) : Array.from({ length: rank }, (_, i) => i);
  const value = cx.opset < 11 ? cx.float("value", 0) : cx.has(2) ? cx.scalar(2) : 0;
  let padded = x;
  axes.forEach((given, i) => {
    const [low, high] = [amounts[i]!, amounts[i + axes.length]!];
    if (!atLeast(low, 0) || !atLeast(high, 0)) return unmodelled(`it may cut by ${show(low)} and ${show(high)}`);
    if (low !== 0 || high !== 0) padded = cx.b.pad(padded, { axis: cx.axis(given, rank), low, high, value });
  });
  return padded;
};

/** Elements on one side of a diagonal; 0 elsewhere. */
const trilu: Conversion = (cx) => {
  const x = cx.value(0);
  const { shape, dtype } = x.type;
  const diagonal = cx.has(1) ? cx.contents(1)?.[0] : 0;
  const [rows, columns] = shape.slice(-2) as [Dim, Dim];
  const row = cx.b.reshape(cx.b.iota({ size: rows }), { shape: [rows, 1] });
  const moved = diagonal === 0 ? row : cx.b.add(row, cx.b.reshape(cx.value(1), { shape: [] }));
  const column = cx.b.iota({ size: columns });
  const kept = cx.flag("upper", true) ? cx.b.lessEqual(moved, column) : cx.b.lessEqual(column, moved);
  return cx.b.select(kept, x, cx.b.scalar(0, dtype));
};

const eyeLike: Conversion = (cx) => {
  const { shape, dtype } = cx.operand(0).type;
  const [rows, columns] = cx.sizes(shape) as [Dim, Dim];
  const row = cx.b.reshape(cx.b.iota({ size: rows }), { shape: [rows, 1] });
  const on = cx.b.equal(cx.b.add(row, cx.b.scalar(cx.int("k", 0), "i64")), cx.b.iota({ size: columns }));
  return cx.b.cast(on, { to: cx.dtype("dtype", dtype) });
};

/** Operators that move elements. */
export const movementConversions: Readonly<Record<string, Conversion>> = {
  Reshape: reshape,
  Expand: expand,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Flatten: flatten,
  Transpose: transpose,
  Slice: slice,
  Concat: concat,
  Split: split,
  Tile: tile,
  Upsample: upsample,
  Pad: pad,
  Trilu: trilu,
  EyeLike: eyeLike,
};
