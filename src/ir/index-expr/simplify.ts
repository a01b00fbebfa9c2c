import { boundsWithin } from "./bounds.ts";
import { type IndexFn, indexFunctions } from "./functions.ts";
import { applied, constant, type IndexExpr, isTruth, lookup, partsInOrder } from "./types.ts";

/**
 * `fn` of `args`, smaller where that means the same for every number, NaN and infinities included. The arguments are
 * taken to be simple already.
 */
export function simplified(fn: IndexFn, ...args: readonly IndexExpr[]): IndexExpr {
  const [x, y, z] = args as readonly [IndexExpr, IndexExpr, IndexExpr];
  if (args.every((arg) => arg.kind === "number")) {
    const [a = 0, b = 0, c = 0] = args.map((arg) => (arg.kind === "number" ? arg.value : 0));
    return constant(indexFunctions[fn].evaluate(a, b, c));
  }
  return identity(fn, x, y, z) ?? applied(fn, ...args);
}

/** The same function of the indices, bottom up in its simplest known form. */
export function simplifyIndex(root: IndexExpr): IndexExpr {
  const simple = new Map<IndexExpr, IndexExpr>();
  for (const expr of partsInOrder(root)) {
    if (expr.kind === "apply") simple.set(expr, simplified(expr.fn, ...expr.args.map((arg) => simple.get(arg)!)));
    else if (expr.kind === "lookup")
      simple.set(
        expr,
        lookup(
          expr.table,
          expr.at.map((part) => simple.get(part)!),
        ),
      );
    else simple.set(expr, expr);
  }
  return simple.get(root)!;
}

const isNumber = (expr: IndexExpr | undefined, value: number) =>
  expr?.kind === "number" && Object.is(expr.value, value);

/** What an operation amounts to where one operand says so; undefined where none does. */
function identity(fn: IndexFn, x: IndexExpr, y: IndexExpr, z: IndexExpr): IndexExpr | undefined {
  switch (fn) {
    case "add":
      if (isNumber(y, 0) && neverMinusZero(x)) return x;
      return isNumber(x, 0) && neverMinusZero(y) ? y : undefined;
    case "sub":
      return isNumber(y, 0) ? x : x === y && openBounds(x).finite ? constant(0) : undefined;
    case "mul":
      return isNumber(y, 1) ? x : isNumber(x, 1) ? y : undefined;
    case "div":
      return isNumber(y, 1) ? x : undefined;
    case "neg":
      return x.kind === "apply" && x.fn === "neg" ? x.args[0] : undefined;
    case "min":
    case "max":
      return x === y ? x : undefined;
    case "floor":
    case "ceil":
    case "round":
    case "trunc":
      return openBounds(x).whole ? x : undefined;
    case "and":
      if (isNumber(x, 0) || isNumber(y, 0) || negated(x) === y) return constant(0);
      return (isNumber(x, 1) || x === y) && isTruth(y) ? y : isNumber(y, 1) && isTruth(x) ? x : undefined;
    case "or":
      if (isNumber(x, 1) || isNumber(y, 1) || negated(x) === y) return constant(1);
      return (isNumber(x, 0) || x === y) && isTruth(y) ? y : isNumber(y, 0) && isTruth(x) ? x : undefined;
    case "not":
      return negated(x);
    case "equal":
    case "lessEqual":
    case "greaterEqual":
      return x === y && openBounds(x).finite ? constant(1) : undefined;
    case "notEqual":
      return x === y && openBounds(x).finite ? constant(0) : undefined;
    case "less":
    case "greater":
      return x === y ? constant(0) : undefined;
    case "select":
      return chosen(x, y, z);
    default:
      return undefined;
  }
}

const opposite: Readonly<Partial<Record<IndexFn, IndexFn>>> = {
  less: "greaterEqual",
  lessEqual: "greater",
  greater: "lessEqual",
  greaterEqual: "less",
};

/** !x. A comparison has an opposite where neither side can be NaN: every comparison with NaN is false. */
function negated(x: IndexExpr): IndexExpr | undefined {
  if (x.kind !== "apply") return undefined;
  const [left, right] = x.args as readonly [IndexExpr, IndexExpr];
  if (x.fn === "not") return isTruth(left) ? left : undefined;
  if (x.fn === "equal") return applied("notEqual", left, right);
  if (x.fn === "notEqual") return applied("equal", left, right);
  const other = opposite[x.fn];
  return other && openBounds(left).finite && openBounds(right).finite ? applied(other, left, right) : undefined;
}

/** x ? y : z */
function chosen(x: IndexExpr, y: IndexExpr, z: IndexExpr): IndexExpr | undefined {
  if (x.kind === "number") return x.value !== 0 ? y : z;
  return y === z ? y : undefined;
}

const openBounds = boundsWithin({}, []);

const neverMinusZero = (x: IndexExpr): boolean =>
  x.kind === "index" || x.kind === "length" || (x.kind === "apply" && indexFunctions[x.fn].truth === true);
