import type { IndexFn } from "../../../src/ir/index-expr/functions.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexFormula,
  type IndexTable,
  index,
  lookup,
} from "../../../src/ir/index-expr/types.ts";

export type Operand = IndexExpr | number;
const expr = (x: Operand) => (typeof x === "number" ? constant(x) : x);
const fn =
  (name: IndexFn) =>
  (...args: readonly Operand[]): IndexExpr =>
    applied(name, ...args.map(expr));
const fold =
  (name: IndexFn) =>
  (...args: readonly Operand[]): IndexExpr =>
    args.map(expr).reduce((x, y) => applied(name, x, y));

export const q = index("q");
export const k = index("k");
export const h = index("h");
export const b = index("b");
export const add = fold("add");
export const sub = fn("sub");
export const mul = fn("mul");
export const div = fn("div");
export const mod = fn("mod");
export const abs = fn("abs");
export const min = fn("min");
export const max = fn("max");
export const floor = fn("floor");
export const floorDiv = (x: Operand, n: Operand) => floor(div(x, n));
export const eq = fn("equal");
export const lt = fn("less");
export const le = fn("lessEqual");
export const gt = fn("greater");
export const ge = fn("greaterEqual");
export const not = fn("not");
export const select = fn("select");
export const and = fold("and");
export const or = fold("or");
export const bitAnd = fn("bitAnd");
export const bitOr = fn("bitOr");
export const shiftRight = fn("shiftRight");
export const shiftLeft = fn("shiftLeft");
export const clamp = (x: Operand, low: Operand, high: Operand) => min(max(x, low), high);
export const at = lookup;

export const table = (name: string, values: ArrayLike<number>, dims = [values.length]): IndexTable => ({
  name,
  truth: false,
  kind: "constant",
  dims,
  data: Float64Array.from(values),
});

export const formula = (body: IndexExpr, ...tables: readonly IndexTable[]): IndexFormula => ({ expr: body, tables });
