import { mul } from "../../ir/dim.ts";
import { isInteger } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { t, x, y, z } from "../rewrite/term.ts";

/** Numbers 0 to n - 1, each once, in some order, and what they are divided by. */
interface Divided {
  readonly order: Value;
  readonly by: number;
}

/** The places of all elements of a list in the order of their size. */
const isOrder = ({ node, index, type }: Value): boolean =>
  node.op === "topK" && index === 1 && type.shape.length === 1 && node.operands[0]!.type.shape[0] === type.shape[0];

/** ⌊order / by⌋ as exporters write it: in integers, or in floats that are cut, where what is divided is never negative. */
function divided(value: Value): Divided | undefined {
  if (isOrder(value)) return { order: value, by: 1 };
  const { node, type } = value;
  if (node.op === "div" && isInteger(type.dtype)) return ratio(node.operands);
  return node.op === "cast" && isInteger(type.dtype) ? ratioOf(cut(node.operands[0]!)) : undefined;
}

/** What a float is the whole part of: itself, where it is cast. */
function cut(value: Value): Value {
  const { op, operands } = value.node;
  const [first, second] = operands;
  if (op === "floor") return first!.node.op === "abs" ? first!.node.operands[0]! : first!;
  if (op !== "mul" || second!.node.op !== "sign") return value;
  const whole = cut(first!);
  return second!.node.operands[0] === whole ? whole : value;
}

function ratioOf({ node }: Value): Divided | undefined {
  const [left, right] = node.operands;
  if (node.op === "div") return ratio([uncast(left!), right!]);
  const factor = node.op === "mul" ? scalarOf(right!) : undefined;
  return factor ? counted(uncast(left!), 1 / factor) : undefined;
}

const uncast = (value: Value): Value => (value.node.op === "cast" ? value.node.operands[0]! : value);
const ratio = ([left, right]: readonly Value[]): Divided | undefined => counted(left!, scalarOf(right!));
const counted = (order: Value, by: number | undefined): Divided | undefined =>
  isOrder(order) && by !== undefined && Number.isInteger(by) && by >= 1 ? { order, by } : undefined;

/** Sums of rows that are known to meet evenly, as those of the tokens of a mixture of experts do. */
export const orders: readonly Rule[] = [
  rule({
    name: "sum-in-order",
    formula:
      "scatter(x, ⌊p / k⌋, y, add) = x + Σ of every k rows of gather(y, p⁻¹) where p is the order of k times as many elements",
    left: t.scatter(x, y, z, { axis: 0, batch: 0, reduction: "add" }),
    right: (m, b) => {
      const [base, updates] = [m.value("x"), m.value("z")];
      const found = divided(m.value("y"));
      if (!found) return undefined;
      const { order, by } = found;
      const [count] = order.type.shape;
      const [rows, ...row] = base.type.shape;
      if (mul(rows!, by) !== count) return undefined;
      const { dtype } = order.type;
      const places = b.broadcast(b.scalar(0, dtype), { shape: [count!] });
      const inverse = b.scatter(places, order, b.iota({ size: count!, dtype }), { axis: 0 });
      const lines = b.gather(updates, inverse, { axis: 0 });
      if (by === 1) return b.add(base, lines);
      return b.add(base, b.reduceSum(b.reshape(lines, { shape: [rows!, by, ...row] }), { axes: [1] }));
    },
    tolerance: "reordered",
  }),
];
