import { both, everything } from "../../ir/attend.ts";
import { isInteger } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { applied, constant, type IndexExpr, index } from "../../ir/index-expr/types.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { indexAxis, type PairAxes, withoutLeadingAxes } from "./causal.ts";

const maxDepth = 16;

const quotient = (x: IndexExpr, y: IndexExpr): IndexExpr => applied("div", x, y);
const floored = (x: IndexExpr): IndexExpr => applied("floor", x);

/** Operations on positions, as formulas have them; `whole` where they are on integers. */
const arithmetic: Readonly<Record<string, (args: readonly IndexExpr[], whole: boolean) => IndexExpr>> = {
  ...named("add", "sub", "mul", "neg", "abs", "min", "max", "floor"),
  div: ([x, y], whole) => (whole ? applied("trunc", quotient(x!, y!)) : quotient(x!, y!)),
  // The remainder has the sign of y.
  mod: ([x, y]) => applied("sub", x!, applied("mul", y!, floored(quotient(x!, y!)))),
};
const comparisons = named("less", "lessEqual", "equal");
const logic = named("and", "or", "not", "select");

function named(...names: readonly IndexFn[]): Readonly<Record<string, (args: readonly IndexExpr[]) => IndexExpr>> {
  return Object.fromEntries(names.map((name) => [name, (args) => applied(name, ...args)]));
}

/** A number for each query and key, made of their positions; undefined where anything else is in it. */
function positions(value: Value, axes: PairAxes, depth: number): IndexExpr | undefined {
  const axis = indexAxis(value);
  if (axis !== undefined && axis === axes.query) return index("q");
  if (axis !== undefined && axis === axes.key) return index("k");
  const number = scalarOf(value);
  if (number !== undefined) return Number.isFinite(number) ? constant(number) : undefined;
  if (depth > maxDepth) return undefined;
  if (value.type.dtype === "bool") return truth(value, axes, depth);
  const inner = withoutLeadingAxes(value);
  const { op, operands } = inner.node;
  // Positions are whole numbers below 2²⁴: every type holds them.
  if (op === "cast") return positions(operands[0]!, axes, depth + 1);
  return combined(inner, arithmetic[op], axes, depth, positions);
}

type Reader = (value: Value, axes: PairAxes, depth: number) => IndexExpr | undefined;

function combined(
  { node, type }: Value,
  make: ((args: readonly IndexExpr[], whole: boolean) => IndexExpr) | undefined,
  axes: PairAxes,
  depth: number,
  read: Reader,
): IndexExpr | undefined {
  const args = make ? node.operands.map((operand) => read(operand, axes, depth + 1)) : [];
  return make && args.every((arg) => arg !== undefined) ? make(args, isInteger(type.dtype)) : undefined;
}

function truth(value: Value, axes: PairAxes, depth: number): IndexExpr | undefined {
  const number = scalarOf(value);
  if (number !== undefined) return constant(number);
  if (depth > maxDepth) return undefined;
  const inner = withoutLeadingAxes(value);
  const { op, operands } = inner.node;
  if (op === "cast") {
    const from = positions(operands[0]!, axes, depth + 1);
    return from && applied("notEqual", from, constant(0));
  }
  return combined(inner, comparisons[op], axes, depth, positions) ?? combined(inner, logic[op], axes, depth, truth);
}

/** A mask that positions of queries and keys make by arithmetic, as the formula it is: a window, a band, tiles. */
export const liftedMask = (mask: Value, axes: PairAxes): IndexExpr | undefined => truth(mask, axes, 0);

export const conjunction = (masks: readonly IndexExpr[]): IndexExpr => masks.reduce(both, everything);
