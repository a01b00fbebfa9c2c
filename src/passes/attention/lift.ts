import { attrsOf } from "../../ir/arena.ts";
import { both, causalFormula, everything } from "../../ir/attend.ts";
import { atLeast, type Dim, sub } from "../../ir/dim.ts";
import { isInteger } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { causalAmongLast, keysBefore, placeAmongLast } from "../../ir/index-analysis/diagonal.ts";
import { type IndexFn, indexFunctions } from "../../ir/index-expr/functions.ts";
import { applied, constant, type IndexExpr, index, partsInOrder } from "../../ir/index-expr/types.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import {
  firstOfTriangle,
  holdsPositions,
  indexAxis,
  isCausalMask,
  type PairAxes,
  withoutLeadingAxes,
} from "./causal.ts";

const maxDepth = 16;

const quotient = (x: IndexExpr, y: IndexExpr): IndexExpr => applied("div", x, y);

type Make = (args: readonly IndexExpr[]) => IndexExpr;

/** Operations that make whole numbers of whole numbers, as formulas have them. */
const arithmetic: Readonly<Record<string, Make>> = {
  ...named("add", "sub", "mul", "neg", "abs", "min", "max"),
  select: (args) => logic.select!(args),
};

/** Of whole numbers, so that one spelling stands for all of them. */
const comparisons: Readonly<Record<string, Make>> = {
  ...named("equal"),
  less: ([x, y]) => below(x!, y!),
  lessEqual: ([x, y]) => upTo(x!, y!),
};
const logic: Readonly<Record<string, Make>> = {
  ...named("and", "or"),
  not: ([x]) => denied(x!),
  select: ([c, x, y]) =>
    x === constant(1) && y === constant(0)
      ? c!
      : x === constant(0) && y === constant(1)
        ? denied(c!)
        : applied("select", c!, x!, y!),
};

/** x where the whole number is x + 1. */
const beforeOne = (x: IndexExpr): IndexExpr | undefined =>
  x.kind === "apply" && x.fn === "add" && x.args[1] === constant(1) ? x.args[0] : undefined;

function below(x: IndexExpr, y: IndexExpr): IndexExpr {
  const last = beforeOne(y);
  return last ? applied("lessEqual", x, last) : applied("less", x, y);
}

function upTo(x: IndexExpr, y: IndexExpr): IndexExpr {
  const last = beforeOne(x);
  return last ? applied("less", last, y) : applied("lessEqual", x, y);
}

/** A product is 0 where a factor is. */
function notZero(x: IndexExpr): IndexExpr {
  if (x.kind === "apply" && x.fn === "mul") return both(notZero(x.args[0]!), notZero(x.args[1]!));
  return x.kind === "apply" && indexFunctions[x.fn].truth ? x : applied("notEqual", x, constant(0));
}

function denied(x: IndexExpr): IndexExpr {
  const [left, right] = x.kind === "apply" ? x.args : [];
  if (x.kind === "apply" && x.fn === "less") return upTo(right!, left!);
  return x.kind === "apply" && x.fn === "lessEqual" ? below(right!, left!) : applied("not", x);
}

function named(...names: readonly IndexFn[]): Readonly<Record<string, Make>> {
  return Object.fromEntries(names.map((name) => [name, (args) => applied(name, ...args)]));
}

/** Where the axes of queries and keys are, and, where the queries are the last of the keys, how many keys are before them. */
export interface Pairs extends PairAxes {
  readonly keysBefore?: Dim | undefined;
}

/**
 * A whole number for each query and key, made of their positions; undefined where anything else is in it, and where the
 * runtime would round what formulas, in float64, do not.
 */
function positions(value: Value, axes: Pairs, depth: number): IndexExpr | undefined {
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
  if (op === "size") return attrsOf(inner.node, "size").of === axes.keysBefore ? keysBefore : undefined;
  if (op === "reshape") {
    const [long, from] = [onlyLongAxis(inner.type.shape), onlyLongAxis(operands[0]!.type.shape)];
    const [query, key] = [axes.query, axes.key].map((at) => (at === long ? from : -1));
    return long === undefined || from === undefined
      ? undefined
      : positions(operands[0]!, { ...axes, query: query!, key: key! }, depth + 1);
  }
  if (op === "cast") return whole(operands[0]!) ?? (isInteger(dtype) ? part("trunc", operands[0]!, whole) : undefined);
  if (op === "floor") return whole(operands[0]!) ?? part("floor", operands[0]!, whole);
  if (op === "div") return isInteger(dtype) ? part("trunc", inner, whole) : undefined;
  if (op === "mod") {
    const [x, y] = [whole(operands[0]!), divisor(operands[1]!)];
    // The remainder has the sign of y.
    return x && y && applied("sub", x, applied("mul", y, applied("floor", quotient(x, y))));
  }
  const made = combined(inner, arithmetic[op], axes, depth, positions);
  return made === applied("add", keysBefore, index("q")) ? placeAmongLast : made;
}

/** The one axis that is not 1, counted from the last. */
function onlyLongAxis(shape: readonly Dim[]): number | undefined {
  const long = shape.flatMap((dim, axis) => (dim === 1 ? [] : [shape.length - 1 - axis]));
  return long.length === 1 ? long[0] : undefined;
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

type Reader = (value: Value, axes: Pairs, depth: number) => IndexExpr | undefined;

function combined(
  { node }: Value,
  make: Make | undefined,
  axes: Pairs,
  depth: number,
  read: Reader,
): IndexExpr | undefined {
  const args = make ? node.operands.map((operand) => read(operand, axes, depth + 1)) : [];
  return make && args.every((arg) => arg !== undefined) ? make(args) : undefined;
}

function truth(value: Value, axes: Pairs, depth: number): IndexExpr | undefined {
  const number = scalarOf(value);
  if (number !== undefined) return constant(number);
  if (depth > maxDepth) return undefined;
  const first = firstOfTriangle(value, axes);
  if (first === 0) return causalFormula;
  if (first !== undefined) return first === axes.keysBefore ? causalAmongLast : undefined;
  const inner = withoutLeadingAxes(value);
  const { op, operands } = inner.node;
  if (op === "cast") {
    const from = positions(operands[0]!, axes, depth + 1);
    return from && notZero(from);
  }
  return combined(inner, comparisons[op], axes, depth, positions) ?? combined(inner, logic[op], axes, depth, truth);
}

/** A mask that positions of queries and keys make by arithmetic, as the formula it is: a window, a band, tiles. */
export const liftedMask = (mask: Value, axes: Pairs): IndexExpr | undefined => truth(mask, axes, 0);

/**
 * What positions tell of a mask over that many queries and keys, where the queries are all of the keys or the last of them;
 * undefined for any other.
 */
export function toldBy(mask: Value, axes: PairAxes, queries: Dim, keys: Dim): IndexExpr | undefined {
  if (!atLeast(keys, queries)) return undefined;
  if (queries === keys) return liftedMask(mask, axes);
  const lifted = liftedMask(mask, { ...axes, keysBefore: sub(keys, queries) });
  return lifted && partsInOrder(lifted).includes(placeAmongLast) ? lifted : undefined;
}

/** Whether a mask lets each query see exactly the keys up to its own position, both counted from the start, however written. */
export const isTriangleOf = (mask: Value, axes: PairAxes): boolean =>
  isCausalMask(mask, axes) || liftedMask(mask, axes) === causalFormula;

export const conjunction = (masks: readonly IndexExpr[]): IndexExpr => masks.reduce(both, everything);
