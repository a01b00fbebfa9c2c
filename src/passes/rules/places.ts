import { add, atLeast, type Dim, mul, product } from "../../ir/dim.ts";
import { countsPlaces } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { elementCount, type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { a, t, x, y, z } from "../rewrite/term.ts";

/** How integers are counted out: the first of them, and by how much they grow along each axis; 0 along one of size 1. */
interface Count {
  readonly first: Dim;
  readonly strides: readonly Dim[];
}

const maxDepth = 24;

/** How an integer tensor was counted out along its axes; undefined where it is not known. */
function countOf(value: Value, depth = 0): Count | undefined {
  const { node, type } = value;
  if (depth > maxDepth || !countsPlaces(type.dtype)) return undefined;
  const below = (operand: Value) => countOf(operand, depth + 1);
  const [p, q] = node.operands;
  switch (node.op) {
    case "constant":
      return countOfTensor(node.attrs.get("value") as HostTensor);
    case "size":
      return { first: node.attrs.get("of") as Dim, strides: [] };
    case "iota":
      return { first: 0, strides: type.shape.map((size) => (size === 1 ? 0 : 1)) };
    case "cast":
      return below(p!);
    case "broadcast":
      return stretched(below(p!), type.shape.length);
    case "reshape":
      return reshaped(below(p!), p!.type.shape, type.shape);
    case "add":
      return summed(below(p!), below(q!), type.shape.length);
    case "mul":
      return multiplied(below(p!), below(q!), type.shape.length);
    default:
      return undefined;
  }
}

/** Elements of a constant that are looked at. */
const mostElements = 2 ** 16;

function countOfTensor(tensor: HostTensor): Count | undefined {
  const { dims } = tensor;
  const elements = elementCount(dims);
  if (elements === 0 || elements > mostElements) return undefined;
  const data = toFloat64(tensor);
  const first = data[0]!;
  const rows = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const strides = dims.map((size, axis) => (size === 1 ? 0 : data[rows[axis]!]! - first));
  const at = (i: number) =>
    strides.reduce((sum, stride, axis) => sum + stride * (Math.floor(i / rows[axis]!) % dims[axis]!), first);
  return Number.isSafeInteger(first) && data.every((x, i) => x === at(i)) ? { first, strides } : undefined;
}

const stretched = (count: Count | undefined, rank: number): Count | undefined =>
  count && { ...count, strides: [...Array.from({ length: rank - count.strides.length }, () => 0), ...count.strides] };

/** The integer all elements are. */
const uniform = (count: Count): Dim | undefined =>
  count.strides.every((stride) => stride === 0) ? count.first : undefined;

function multiplied(p: Count | undefined, q: Count | undefined, rank: number): Count | undefined {
  const [left, right] = [stretched(p, rank), stretched(q, rank)];
  if (!left || !right) return undefined;
  const [counted, factor] = uniform(right) === undefined ? [right, uniform(left)] : [left, uniform(right)];
  if (factor === undefined) return undefined;
  return { first: mul(factor, counted.first), strides: counted.strides.map((stride) => mul(factor, stride)) };
}

function summed(p: Count | undefined, q: Count | undefined, rank: number): Count | undefined {
  const [left, right] = [stretched(p, rank), stretched(q, rank)];
  if (!left || !right) return undefined;
  const strides = left.strides.map((stride, axis) => add(stride, right.strides[axis]!));
  return { first: add(left.first, right.first), strides };
}

/** Under a reshape that adds and drops axes of size 1, or of equal integers. */
function reshaped(count: Count | undefined, from: readonly Dim[], to: readonly Dim[]): Count | undefined {
  const [before, after] = [from, to].map((shape) => [...shape.keys()].filter((axis) => shape[axis] !== 1));
  const same = before!.length === after!.length && before!.every((axis, i) => from[axis] === to[after![i]!]);
  if (count && uniform(count) !== undefined) return { ...count, strides: to.map(() => 0) };
  if (!count || !same) return undefined;
  const strides = to.map((dim, axis) => (dim === 1 ? 0 : count.strides[before![after!.indexOf(axis)]!]!));
  return { ...count, strides };
}

/** The first of elements that are consecutive numbers in the order they lie in. */
function firstOfRun(value: Value): Dim | undefined {
  const { shape } = value.type;
  const count = countOf(value);
  const inOrder = count?.strides.every((stride, i) => shape[i] === 1 || stride === product(shape.slice(i + 1)));
  return inOrder ? count!.first : undefined;
}

/** Elements named by places that follow one another: a mask read position by position, a part of a tensor written. */
export const places: readonly Rule[] = [
  rule({
    name: "gather-in-order",
    formula: "gather(x, i) = reshape(x) where i counts every place of the axis once, in order",
    left: t.gather(x, y, { axis: a("axis"), batch: 0 }),
    right: (m, b) => {
      const [whole, indices] = [m.value("x"), m.value("y")];
      const { shape } = whole.type;
      const axis = ((m.attr("axis") as number) + shape.length) % shape.length;
      if (product(indices.type.shape) !== shape[axis] || firstOfRun(indices) !== 0) return undefined;
      return b.reshape(whole, { shape: m.root.type.shape });
    },
  }),
  rule({
    name: "scatter-of-run",
    formula: "scatter(x, i, y) = concat(x before, y, x after) where i counts consecutive places",
    left: t.scatter(x, y, z, { axis: a("axis"), batch: 0, reduction: "none" }),
    right: (m, b) => {
      const [whole, indices] = [m.value("x"), m.value("y")];
      const { shape } = whole.type;
      const axis = ((m.attr("axis") as number) + shape.length) % shape.length;
      const count = product(indices.type.shape);
      const start = firstOfRun(indices);
      const end = start === undefined ? undefined : add(start, count);
      if (start === undefined || !atLeast(start, 0) || !atLeast(shape[axis]!, end!)) return undefined;
      const written = b.reshape(m.value("z"), { shape: shape.with(axis, count) });
      const before = start === 0 ? [] : [b.slice(whole, { axis, start: 0, end: start })];
      const after = end === shape[axis] ? [] : [b.slice(whole, { axis, start: end!, end: shape[axis]! })];
      return b.concat(...before, written, ...after, { axis });
    },
  }),
];
