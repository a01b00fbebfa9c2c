import { add, type Dim, mul, product } from "../../ir/dim.ts";
import { isInteger } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { a, t, x, y } from "../rewrite/term.ts";

/** For each axis, by how much elements grow along it, where the first element is 0; 0 along an axis of size 1. */
type Strides = readonly Dim[];

const maxDepth = 24;

/** How an integer tensor was counted out along its axes. Undefined where it is not known, or does not begin at 0. */
function stridesOf(value: Value, depth = 0): Strides | undefined {
  const { node, type } = value;
  if (depth > maxDepth || !isInteger(type.dtype)) return undefined;
  const below = (operand: Value) => stridesOf(operand, depth + 1);
  const [p, q] = node.operands;
  if (scalarOf(value) === 0) return type.shape.map(() => 0);
  switch (node.op) {
    case "iota":
      return type.shape.map((size) => (size === 1 ? 0 : 1));
    case "cast":
      return below(p!);
    case "broadcast":
      return stretched(below(p!), type.shape.length);
    case "reshape":
      return reshaped(below(p!), p!.type.shape, type.shape);
    case "add":
      return summed(below(p!), below(q!), type.shape.length);
    case "mul":
      return scaled(below(p!), factorOf(q!), type.shape.length) ?? scaled(below(q!), factorOf(p!), type.shape.length);
    default:
      return undefined;
  }
}

const stretched = (strides: Strides | undefined, rank: number): Strides | undefined =>
  strides && [...Array.from({ length: rank - strides.length }, () => 0), ...strides];

const scaled = (strides: Strides | undefined, factor: Dim | undefined, rank: number): Strides | undefined =>
  factor === undefined ? undefined : stretched(strides, rank)?.map((stride) => mul(factor, stride));

function summed(p: Strides | undefined, q: Strides | undefined, rank: number): Strides | undefined {
  const [left, right] = [stretched(p, rank), stretched(q, rank)];
  return left && right && left.map((stride, axis) => add(stride, right[axis]!));
}

/** Under a reshape that adds and drops axes of size 1. */
function reshaped(strides: Strides | undefined, from: readonly Dim[], to: readonly Dim[]): Strides | undefined {
  const [before, after] = [from, to].map((shape) => [...shape.keys()].filter((axis) => shape[axis] !== 1));
  const same = before!.length === after!.length && before!.every((axis, i) => from[axis] === to[after![i]!]);
  if (!strides || !same) return undefined;
  return to.map((dim, axis) => (dim === 1 ? 0 : strides[before![after!.indexOf(axis)]!]!));
}

/** The integer all elements are. */
function factorOf(value: Value): Dim | undefined {
  let at = value;
  while (at.node.op === "reshape" || at.node.op === "broadcast") at = at.node.operands[0]!;
  if (at.node.op === "size") return at.node.attrs.get("of") as Dim;
  const number = scalarOf(at);
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined;
}

/** Whether elements are 0, 1, 2, … in the order they lie in. */
function countsUp(value: Value): boolean {
  const { shape } = value.type;
  return stridesOf(value)?.every((stride, i) => shape[i] === 1 || stride === product(shape.slice(i + 1))) ?? false;
}

/** Elements named by places that are all there are, in order: how a mask is spelled that is read position by position. */
export const places: readonly Rule[] = [
  rule({
    name: "gather-in-order",
    formula: "gather(x, i) = reshape(x) where i counts every place of the axis once, in order",
    left: t.gather(x, y, { axis: a("axis"), batch: 0 }),
    right: (m, b) => {
      const [whole, indices] = [m.value("x"), m.value("y")];
      const { shape } = whole.type;
      const axis = ((m.attr("axis") as number) + shape.length) % shape.length;
      if (product(indices.type.shape) !== shape[axis] || !countsUp(indices)) return undefined;
      return b.reshape(whole, { shape: m.root.type.shape });
    },
  }),
];
