import { both, everything } from "../../ir/attend.ts";
import { isInteger } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { applied, constant, type IndexExpr, index } from "../../ir/index-expr/types.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { holdsPositions, indexAxis, type PairAxes, withoutLeadingAxes } from "./causal.ts";

const maxDepth = 16;

const quotient = (x: IndexExpr, y: IndexExpr): IndexExpr => applied("div", x, y);

type Make = (args: readonly IndexExpr[]) => IndexExpr;

/** Operations that make whole numbers of whole numbers, as formulas have them. */
const arithmetic: Readonly<Record<string, Make>> = named("add", "sub", "mul", "neg", "abs", "min", "max");

const comparisons = named("less", "lessEqual", "equal");
const logic = named("and", "or", "not", "select");

function named(...names: readonly IndexFn[]): Readonly<Record<string, Make>> {
  return Object.fromEntries(names.map((name) => [name, (args) => applied(name, ...args)]));
}

/**
 * A whole number for each query and key, made of their positions; undefined where anything else is in it, and where the
 * runtime would round what formulas, in float64, do not.
 */
function positions(value: Value, axes: PairAxes, depth: number): IndexExpr | undefined {
  const { dtype } = value.type;
  const axis = indexAxis(value);
  if (axis !== undefined && axis === axes.query) return index("q");
  if (axis !== undefined && axis === axes.key) return index("k");
  const number = scalarOf(value);
  if (number !== undefined) return Number.isSafeInteger(number) ? constant(number) : undefined;
  if (depth > maxDepth) return undefined;
  if (dtype === "bool") return truth(value, axes, depth);
  const inner = withoutLeadingAxes(value);
  const { op, operands } = inner.node;
  const whole = (operand: Value) => positions(operand, axes, depth + 1);
  if (!holdsPositions.has(dtype)) return undefined;
  if (op === "cast") return whole(operands[0]!) ?? (isInteger(dtype) ? part("trunc", operands[0]!, whole) : undefined);
  if (op === "floor") return whole(operands[0]!) ?? part("floor", operands[0]!, whole);
  if (op === "div") return isInteger(dtype) ? part("trunc", inner, whole) : undefined;
  if (op === "mod") {
    const [x, y] = [whole(operands[0]!), divisor(operands[1]!)];
    // The remainder has the sign of y.
    return x && y && applied("sub", x, applied("mul", y, applied("floor", quotient(x, y))));
  }
  return combined(inner, arithmetic[op], axes, depth, positions);
}

/** A quotient of whole numbers, of which only the whole part is needed: no type rounds it up to the next. */
function part(rounding: IndexFn, { node }: Value, whole: (operand: Value) => IndexExpr | undefined) {
  const [x, y] = node.op === "div" ? [whole(node.operands[0]!), divisor(node.operands[1]!)] : [];
  return x && y && applied(rounding, quotient(x, y));
}

function divisor(value: Value): IndexExpr | undefined {
  const number = scalarOf(value);
  return number !== undefined && Number.isSafeInteger(number) && number !== 0 ? constant(number) : undefined;
}

type Reader = (value: Value, axes: PairAxes, depth: number) => IndexExpr | undefined;

function combined(
  { node }: Value,
  make: Make | undefined,
  axes: PairAxes,
  depth: number,
  read: Reader,
): IndexExpr | undefined {
  const args = make ? node.operands.map((operand) => read(operand, axes, depth + 1)) : [];
  return make && args.every((arg) => arg !== undefined) ? make(args) : undefined;
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
