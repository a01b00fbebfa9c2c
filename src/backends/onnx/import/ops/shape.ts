import {
  add,
  atLeast,
  ceilDiv,
  constantOf,
  type Dim,
  divideExact,
  floorDiv,
  isStatic,
  mod,
  mul,
  product,
  sub,
} from "../../../../ir/dim.ts";
import { type DType, isFloat, isInteger } from "../../../../ir/dtype.ts";
import { type HostTensor, toFloat64 } from "../../../../ir/tensor.ts";
import { volume } from "../../../../ir/types.ts";
import { contentsLimit, type Imported, ofContents, ofRows, ofValue } from "../imported.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";
import { splitSizes } from "./movement.ts";

/** Integers as they are known: their elements and whether they stand alone. */
interface Known {
  readonly dims: readonly Dim[];
  readonly rank: 0 | 1;
  readonly dtype: DType;
}

function known(x: Imported): Known | undefined {
  const { contents, type } = x;
  return contents && { dims: contents, rank: type.shape.length === 0 ? 0 : 1, dtype: type.dtype };
}

const list = (cx: NodeContext, dims: readonly Dim[], dtype: DType = "i64"): Imported =>
  ofContents(cx.arena, dtype, dims, 1);

/** Shape arithmetic where every element is known, otherwise `general`. */
function elementwise(
  f: (...xs: readonly Dim[]) => Dim | undefined,
  dtype?: DType,
): (general: Conversion) => Conversion {
  return (general) => (cx) => {
    const given = cx.inputs.map((x) => x && known(x));
    const operands = given.filter((x) => x !== undefined);
    if (operands.length < given.length || operands.length === 0) return general(cx);
    const length = Math.max(...operands.map(({ dims }) => dims.length));
    if (operands.some(({ dims }) => dims.length !== length && dims.length !== 1)) return general(cx);
    const dims: Dim[] = [];
    for (let i = 0; i < length; i++) {
      const dim = f(...operands.map((x) => x.dims[x.dims.length === 1 ? 0 : i]!));
      if (dim === undefined || (isStatic(dim) && Math.abs(dim) >= Number.MAX_SAFE_INTEGER)) return general(cx);
      dims.push(dim);
    }
    const rank = operands.some((x) => x.rank === 1) ? 1 : 0;
    return ofContents(cx.arena, dtype ?? operands.at(-1)!.dtype, dims, rank);
  };
}

/**
 * Integer division truncates: the floor, where neither side is negative, and a length less a constant is taken not to be: it
 * is what windows divide. Nothing divides by a size of 0.
 */
function quotient(a: Dim, b: Dim): Dim | undefined {
  if (isStatic(a) && isStatic(b)) return b === 0 ? undefined : Math.trunc(a / b);
  return atLeast(sub(a, constantOf(a)), 0) && atLeast(b, 1) ? floorDiv(a, b) : b !== 0 ? divideExact(a, b) : undefined;
}

/** What is left of a division; where its sign is not the dividend's, that of -x is what x falls short of the next multiple. */
function remainder(a: Dim, b: Dim, hasSignOfDividend: boolean): Dim | undefined {
  if (!atLeast(b, 1)) return undefined;
  if (atLeast(a, 0)) return mod(a, b);
  const x = mul(-1, a);
  return !hasSignOfDividend && atLeast(x, 0) ? sub(mul(b, ceilDiv(x, b)), x) : undefined;
}

/** The integer a scalar is, whatever type it has; undefined where only a run tells it, or it has a fraction. */
function wholeNumber(cx: NodeContext, i: number): Dim | undefined {
  const { contents, whole, type } = cx.operand(i);
  const known = (contents ?? whole)?.[0];
  if (known !== undefined || !isFloat(type.dtype)) return known;
  const { op, attrs } = cx.value(i).node;
  const [number] = op === "constant" ? toFloat64(attrs.get("value") as HostTensor) : [];
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Whether a list of `length` elements is made of parts of `size`. */
const isPart = (length: number, size: Dim): boolean => isStatic(size) && size > 0 && length > 0 && length % size === 0;

const chunks = <T>(list: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: list.length / size }, (_, i) => list.slice(i * size, (i + 1) * size));

/** Whether a slice takes all rows from the last to the first. */
function isTurn(cx: NodeContext): boolean {
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((i) => cx.contents(i));
  const [start, end] = [starts?.[0], ends?.[0]];
  const [count] = cx.operand(0).type.shape as readonly number[];
  const whole = (start === -1 || start === count! - 1) && isStatic(end!) && end! < -count!;
  return whole && starts?.length === 1 && (axes?.[0] ?? 0) === 0 && steps?.[0] === -1;
}

/** Whether two dimensions are equal, where that is certain. */
function equals(a: Dim, b: Dim): Dim | undefined {
  if (a === b) return 1;
  return atLeast(sub(a, b), 1) || atLeast(sub(b, a), 1) ? 0 : undefined;
}

const order = (a: Dim, b: Dim, least: number): Dim | undefined =>
  atLeast(sub(b, a), least) ? 1 : atLeast(sub(a, b), 1 - least) ? 0 : undefined;

const extreme =
  (which: "least" | "greatest") =>
  (general: Conversion): Conversion =>
  (cx) =>
    elementwise((...xs) => xs.reduce((a, b) => cx.symbols[which](a, b)))(general)(cx);

/** Operators that shapes are computed with: each is tried on what is known before it becomes a node. */
export const onContents: Readonly<Record<string, (general: Conversion) => Conversion>> = {
  Add: elementwise(add),
  Sub: elementwise(sub),
  Mul: elementwise(mul),
  Div: elementwise(quotient),
  Mod: (general) => (cx) => elementwise((a, b) => remainder(a, b, cx.flag("fmod", false)))(general)(cx),
  Neg: elementwise((a) => mul(-1, a)),
  Max: extreme("greatest"),
  Min: extreme("least"),
  Abs: elementwise((a) => (atLeast(a, 0) ? a : isStatic(a) ? -a : undefined)),
  Equal: (general) => (cx) => {
    const [sizesFirst, sizesSecond] = cx.inputs.map((x) => x?.areSizes === true);
    const differ = (a: Dim, b: Dim) => (sizesFirst && atLeast(-1, b)) || (sizesSecond && atLeast(-1, a));
    return elementwise((a, b) => equals(a, b) ?? (differ(a, b) ? 0 : undefined), "bool")(general)(cx);
  },
  Less: elementwise((a, b) => order(a, b, 1), "bool"),
  LessOrEqual: elementwise((a, b) => order(a, b, 0), "bool"),
  Greater: elementwise((a, b) => order(b, a, 1), "bool"),
  GreaterOrEqual: elementwise((a, b) => order(b, a, 0), "bool"),
  Not: elementwise((a) => (isStatic(a) ? 1 - a : undefined)),
  And: elementwise((a, b) => (a === 0 || b === 0 ? 0 : a === 1 && b === 1 ? 1 : undefined)),
  Or: elementwise((a, b) => (a === 1 || b === 1 ? 1 : a === 0 && b === 0 ? 0 : undefined)),
  Where: elementwise((condition, x, y) => (isStatic(condition) ? (condition !== 0 ? x : y) : x === y ? x : undefined)),
  Cast: (general) => (cx) => {
    const x = known(cx.operand(0));
    const to = cx.dtype("to");
    if (x && (to === "f32" || to === "f64")) {
      const { contents, ...made } = ofContents(cx.arena, to, x.dims, x.rank);
      return { ...made, whole: contents! };
    }
    if (!x || !(isInteger(to) || to === "bool")) return general(cx);
    if (to === "bool" || x.dtype === "bool" || to === "i64" || to === "i32") {
      const dims = to === "bool" ? x.dims.map((dim) => notZero(dim)) : x.dims;
      if (dims.every((dim) => dim !== undefined)) return ofContents(cx.arena, to, dims, x.rank);
    }
    return general(cx);
  },
  Identity: (general) => (cx) => (cx.operand(0).contents ? cx.operand(0) : general(cx)),
  Concat: (general) => (cx) => {
    const parts = cx.inputs.map((x) => x && known(x));
    const all = parts.filter((x) => x !== undefined && x.rank === 1) as Known[];
    const dims = all.flatMap((x) => x.dims);
    if (all.length < parts.length || all.length === 0 || dims.length > contentsLimit) return general(cx);
    return list(cx, dims, all[0]!.dtype);
  },
  Gather: (general) => (cx) => {
    const x = known(cx.operand(0));
    const at = known(cx.operand(1));
    if (x?.rank !== 1 || !at?.dims.every(isStatic)) return general(cx);
    const picked = at.dims.map((i) => x.dims[(i as number) < 0 ? (i as number) + x.dims.length : (i as number)]);
    if (picked.some((dim) => dim === undefined)) return general(cx);
    return ofContents(cx.arena, x.dtype, picked as readonly Dim[], at.rank);
  },
  Split: (general) => (cx) => {
    const x = known(cx.operand(0));
    if (x?.rank !== 1) return general(cx);
    const sizes = splitSizes(cx, x.dims.length);
    if (!sizes.every(isStatic)) return general(cx);
    let at = 0;
    return sizes.map((size) => list(cx, x.dims.slice(at, (at += size)), x.dtype));
  },
  Squeeze: (general) => (cx) => {
    const x = known(cx.operand(0));
    return x?.rank === 1 && x.dims.length === 1 ? ofContents(cx.arena, x.dtype, x.dims, 0) : general(cx);
  },
  Unsqueeze: (general) => (cx) => {
    const x = known(cx.operand(0));
    const axes = cx.intsOrOperand("axes", 1, 13);
    return x?.rank === 0 && axes?.length === 1 ? ofContents(cx.arena, x.dtype, x.dims, 1) : general(cx);
  },
  Reshape: (general) => (cx) => {
    const { rows, type } = cx.operand(0);
    const x = rows ? ({ dims: rows.flat(), rank: 1, dtype: type.dtype } as const) : known(cx.operand(0));
    const to = cx.opset < 5 ? undefined : cx.contents(1);
    if (x && to?.length === 2 && to[0] === -1 && isPart(x.dims.length, to[1]!))
      return ofRows(cx.arena, x.dtype, chunks(x.dims, to[1] as number));
    if (!x || to === undefined || to.length > 1) return general(cx);
    if (to.length === 0) return x.dims.length === 1 ? ofContents(cx.arena, x.dtype, x.dims, 0) : general(cx);
    return to[0] === -1 || to[0] === x.dims.length ? ofContents(cx.arena, x.dtype, x.dims, 1) : general(cx);
  },
  Transpose: (general) => (cx) => {
    const { rows, type } = cx.operand(0);
    const perm = cx.ints("perm") ?? [1, 0];
    if (!rows || perm[0] !== 1) return general(cx);
    return ofRows(
      cx.arena,
      type.dtype,
      rows[0]!.map((_, column) => rows.map((row) => row[column]!)),
    );
  },
  Slice: (general) => (cx) => {
    const { rows, type } = cx.operand(0);
    if (rows && cx.opset >= 10 && isTurn(cx)) return ofRows(cx.arena, type.dtype, rows.toReversed());
    const x = known(cx.operand(0));
    if (x?.rank !== 1 || cx.opset < 10) return general(cx);
    const [starts, ends, , steps] = [1, 2, 3, 4].map((i) => cx.contents(i));
    const all = [...(starts ?? []), ...(ends ?? []), ...(steps ?? [])];
    if (!starts || !ends || (cx.has(4) && !steps) || !all.every(isStatic)) return general(cx);
    const step = (steps?.[0] ?? 1) as number;
    return step === 1
      ? list(cx, x.dims.slice(starts[0] as number, ends[0] as number), x.dtype)
      : step === -1 && (ends[0] as number) < -x.dims.length
        ? list(
            cx,
            x.dims
              .slice(
                0,
                (starts[0] as number) < 0 ? x.dims.length + (starts[0] as number) + 1 : (starts[0] as number) + 1,
              )
              .reverse(),
            x.dtype,
          )
        : general(cx);
  },
  ReduceProd: (general) => (cx) => {
    const x = known(cx.operand(0));
    if (x?.rank !== 1) return general(cx);
    return ofContents(cx.arena, x.dtype, [product(x.dims)], cx.flag("keepdims", true) ? 1 : 0);
  },
};

function notZero(dim: Dim): Dim | undefined {
  return isStatic(dim) ? Number(dim !== 0) : atLeast(dim, 1) ? 1 : undefined;
}

/** Operators that make sizes and tensors of a size. */
export const shapeConversions: Readonly<Record<string, Conversion>> = {
  Shape: (cx) => {
    const { shape } = cx.operand(0).type;
    const start = cx.int("start", 0);
    const end = cx.int("end", shape.length);
    return { ...list(cx, cx.sizes(shape.slice(start, end))), areSizes: true };
  },
  Size: (cx) => ofContents(cx.arena, "i64", cx.sizes([volume(cx.operand(0).type)]), 0),
  ConstantOfShape: (cx) => {
    const given = cx.tensor("value");
    const tensor = given ? cx.host(given) : undefined;
    const value = tensor ? cx.b.constant({ value: { ...tensor, dims: [] } }) : cx.b.scalar(0, "f32");
    const shape = cx.contents(0) ?? unmodelled("its shape is known at run time only");
    const full = cx.b.broadcast(value, { shape });
    const [length] = shape;
    const short = shape.length <= 1 && (length === undefined || (isStatic(length) && length <= contentsLimit));
    if (!short || !tensor || !(isInteger(tensor.dtype) || tensor.dtype === "bool")) return full;
    const contents = Array.from({ length: (length as number | undefined) ?? 1 }, () => Number(tensor.data[0]));
    return ofValue(full, contents);
  },
  Range: (cx) => {
    const { dtype } = cx.operand(0).type;
    const [start, limit, delta] = [0, 1, 2].map((i) => wholeNumber(cx, i));
    if (start === undefined || limit === undefined || delta === undefined || !isStatic(delta) || delta === 0)
      return unmodelled("its bounds are known at run time only");
    const way = delta > 0 ? sub(limit, start) : sub(start, limit);
    const size = Math.abs(delta) === 1 ? way : ceilDiv(way, Math.abs(delta));
    const counted = cx.b.iota({ size: isStatic(size) && size < 0 ? 0 : size, dtype });
    const stepped = delta === 1 ? counted : cx.b.mul(counted, cx.b.scalar(delta, dtype));
    const value = start === 0 ? stepped : cx.b.add(stepped, ofContents(cx.arena, dtype, [start], 0).value());
    if (!isStatic(start) || !isStatic(size) || size > contentsLimit || !isInteger(dtype)) return value;
    return ofValue(
      value,
      Array.from({ length: Math.max(size, 0) }, (_, i) => start + delta * i),
    );
  },
};
