import type { IndexFn } from "../index-expr/functions.ts";
import { applied, constant, type IndexExpr } from "../index-expr/types.ts";

/** A comparison with integers on both sides that is true wherever this one is: of x / n, and with fractions. */
export function inIntegers(
  expr: IndexExpr & { readonly kind: "apply" },
  fn: IndexFn,
): IndexExpr & { readonly kind: "apply" } {
  if (!(fn in turned)) return expr;
  const [x, y] = expr.args as [IndexExpr, IndexExpr];
  if (x.kind === "number" && y.kind !== "number")
    return inIntegers(
      applied(turned[fn as keyof typeof turned], y, x) as typeof expr,
      turned[fn as keyof typeof turned],
    );
  if (y.kind !== "number" || !Number.isFinite(y.value)) return expr;
  const divides = x.kind === "apply" && x.fn === "div" ? x.args[1]! : undefined;
  const by = divides?.kind === "number" && divides.value > 0 ? divides.value : 1;
  const of = divides?.kind === "number" && divides.value > 0 ? (x as typeof expr).args[0]! : x;
  const limit = y.value * by;
  if (Math.abs(limit) > 2 ** 28) return expr;
  // Quotients of integers this small are rounded by less.
  const slack = 2 ** -20;
  const up = fn === "less" || fn === "lessEqual";
  // Between whole numbers x / n < c is x < n·c to the last bit.
  const open = (fn === "less" || fn === "greater") && Number.isInteger(by) && Number.isInteger(y.value) ? 1 : 0;
  const bound = constant(up ? Math.floor(limit + slack) - open : Math.ceil(limit - slack) + open);
  return applied(up ? "lessEqual" : "greaterEqual", of, bound) as typeof expr;
}

const turned = { less: "greater", lessEqual: "greaterEqual", greater: "less", greaterEqual: "lessEqual" } as const;
