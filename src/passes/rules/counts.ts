import { attrsOf } from "../../ir/arena.ts";
import { add, atLeast, type Dim, mul, product, sub } from "../../ir/dim.ts";
import { countsPlaces, endsOf } from "../../ir/dtype.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { elementCount, type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { axisFromFirst, type TensorType } from "../../ir/types.ts";
import { scalarOf } from "../rewrite/scalar.ts";

/** How integers are counted out: the first of them, and by how much they grow along each axis; 0 along one of size 1. */
export interface Count {
  readonly first: Dim;
  readonly strides: readonly Dim[];
}

type Counting = (node: Node, operands: readonly (Count | undefined)[]) => Count | undefined;

/** Ops whose integers are counted out where those of their operands are. */
const counting: ReadonlyMap<string, Counting> = new Map<string, Counting>([
  ["constant", (node) => ofConstant(node.results[0]!)],
  ["size", (node) => ({ first: attrsOf(node, "size").of, strides: [] })],
  ["iota", () => ({ first: 0, strides: [1] })],
  ["cast", (_, [x]) => x],
  ["broadcast", (node, [x]) => x && stretched(x, rankOf(node))],
  ["reshape", (node, [x]) => x && reshaped(x, node.operands[0]!.type.shape, node.results[0]!.type.shape)],
  ["slice", (node, [x]) => x && sliced(x, node)],
  ["concat", joined],
  ["add", (node, [x, y]) => x && y && summed(x, y, 1, rankOf(node))],
  ["sub", (node, [x, y]) => x && y && summed(x, y, -1, rankOf(node))],
  ["mul", (node, [x, y]) => x && y && multiplied(x, y, rankOf(node))],
]);

const known = new WeakMap<Node, Count | null>();

/** How an integer tensor was counted out; undefined where it is not known. Remembered for each node. */
export function countOf(value: Value): Count | undefined {
  const stack = [value.node];
  for (let node = stack.at(-1); node; node = stack.at(-1)) {
    const rule = counting.get(node.op);
    const isOpen = !known.has(node) && rule !== undefined;
    const open = isOpen ? node.operands.find((operand) => !known.has(operand.node)) : undefined;
    if (open) {
      stack.push(open.node);
      continue;
    }
    stack.pop();
    if (!known.has(node)) known.set(node, (rule && ownCount(node, rule)) ?? null);
  }
  return known.get(value.node) ?? undefined;
}

function ownCount(node: Node, rule: Counting): Count | undefined {
  const { type } = node.results[0]!;
  if (!countsPlaces(type.dtype)) return undefined;
  const count = rule(
    node,
    node.operands.map((operand) => known.get(operand.node) ?? undefined),
  );
  if (!count) return undefined;
  const own = { ...count, strides: count.strides.map((stride, axis) => (type.shape[axis] === 1 ? 0 : stride)) };
  return wraps(own, type) ? undefined : own;
}

/** Whether numbers leave their type, or those that float64 tells apart. What lengths decide is taken to fit. */
function wraps(count: Count, { dtype, shape }: TensorType): boolean {
  const [least, most] = endsOf(dtype)!;
  return [count.first, ...count.strides, ...(extremes(count, shape) ?? [])].some(
    (end) => typeof end === "number" && !(Number.isSafeInteger(end) && end >= least && end <= most),
  );
}

/** Smallest and largest element; undefined where lengths decide which. */
export function extremes({ first, strides }: Count, shape: readonly Dim[]): readonly [low: Dim, high: Dim] | undefined {
  let [low, high] = [first, first];
  for (const [axis, stride] of strides.entries()) {
    const way = mul(stride, sub(shape[axis]!, 1));
    if (atLeast(stride, 0)) high = add(high, way);
    else if (atLeast(0, stride)) low = add(low, way);
    else return undefined;
  }
  return [low, high];
}

/** The integer all elements are. */
export const uniform = ({ first, strides }: Count): Dim | undefined =>
  strides.every((stride) => stride === 0) ? first : undefined;

/** `y - x` wherever the elements of the two meet. */
export const difference = (x: Count, y: Count, rank: number): Count => summed(y, x, -1, rank);

/** The first of elements that are consecutive numbers in the order they lie in. */
export function firstOfRun(value: Value): Dim | undefined {
  const { shape } = value.type;
  const count = countOf(value);
  const inOrder = count?.strides.every((stride, i) => shape[i] === 1 || stride === product(shape.slice(i + 1)));
  return inOrder ? count!.first : undefined;
}

const rankOf = (node: Node): number => node.results[0]!.type.shape.length;

/** Elements of a constant that are looked at. */
const mostElements = 2 ** 16;

function ofConstant(value: Value): Count | undefined {
  const number = scalarOf(value);
  if (number !== undefined) return { first: number, strides: value.type.shape.map(() => 0) };
  const tensor = value.node.attrs.get("value") as HostTensor;
  const { dims } = tensor;
  const elements = elementCount(dims);
  if (elements === 0 || elements > mostElements) return undefined;
  const data = toFloat64(tensor);
  const first = data[0]!;
  const rows = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const strides = dims.map((size, axis) => (size === 1 ? 0 : data[rows[axis]!]! - first));
  const at = (i: number) =>
    strides.reduce((sum, stride, axis) => sum + stride * (Math.floor(i / rows[axis]!) % dims[axis]!), first);
  return data.every((x, i) => x === at(i)) ? { first, strides } : undefined;
}

const stretched = (count: Count, rank: number): Count => ({
  ...count,
  strides: [...Array.from({ length: rank - count.strides.length }, () => 0), ...count.strides],
});

function summed(x: Count, y: Count, sign: 1 | -1, rank: number): Count {
  const [left, right] = [stretched(x, rank), stretched(y, rank)];
  const strides = left.strides.map((stride, axis) => add(stride, mul(sign, right.strides[axis]!)));
  return { first: add(left.first, mul(sign, right.first)), strides };
}

function multiplied(x: Count, y: Count, rank: number): Count | undefined {
  const [counted, factor] = uniform(y) === undefined ? [y, uniform(x)] : [x, uniform(y)];
  if (factor === undefined) return undefined;
  const { first, strides } = stretched(counted, rank);
  return { first: mul(factor, first), strides: strides.map((stride) => mul(factor, stride)) };
}

/** Where every axis that is counted along stays one: as much lies before it, and as much in it. */
function reshaped(count: Count, from: readonly Dim[], to: readonly Dim[]): Count | undefined {
  const strides: Dim[] = to.map(() => 0);
  for (const [axis, stride] of count.strides.entries()) {
    if (stride === 0) continue;
    const ahead = product(from.slice(0, axis));
    const at = to.findIndex((dim, i) => dim === from[axis] && product(to.slice(0, i)) === ahead);
    if (at < 0) return undefined;
    strides[at] = stride;
  }
  return { ...count, strides };
}

function sliced({ first, strides }: Count, node: Node): Count {
  const { axis, start } = attrsOf(node, "slice");
  return { first: add(first, mul(strides.at(axis)!, start)), strides };
}

/** Parts that go on where the one before ends; a single element goes on any way. */
function joined(node: Node, parts: readonly (Count | undefined)[]): Count | undefined {
  const axis = axisFromFirst(attrsOf(node, "concat").axis, rankOf(node));
  const sizes = node.operands.map(({ type }) => type.shape[axis]!);
  const [first, longest] = [
    parts[0],
    parts[
      Math.max(
        0,
        sizes.findIndex((size) => size !== 1),
      )
    ],
  ];
  if (!first || !longest) return undefined;
  const { strides } = longest;
  let next = first.first;
  for (const [i, part] of parts.entries()) {
    const isAlike = part?.strides.every((stride, at) => stride === strides[at] || (at === axis && sizes[i] === 1));
    if (!isAlike || part!.first !== next) return undefined;
    next = add(next, mul(strides[axis]!, sizes[i]!));
  }
  return { first: first.first, strides };
}
