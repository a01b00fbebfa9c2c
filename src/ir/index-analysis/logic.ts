import type { IndexFn } from "../index-expr/functions.ts";
import { applied, type IndexExpr, partsInOrder } from "../index-expr/types.ts";

const opposite: Partial<Record<IndexFn, IndexFn>> = {
  equal: "notEqual",
  notEqual: "equal",
};

const isCall = (expr: IndexExpr, fn: IndexFn): expr is IndexExpr & { readonly kind: "apply" } =>
  expr.kind === "apply" && expr.fn === fn;

/** Operands of nested `and` (or `or`), each once, negations pushed inwards. Comparisons other than (in)equality keep their `not`. */
export function operandsOf(join: "and" | "or", root: IndexExpr): readonly IndexExpr[] {
  const found: IndexExpr[] = [];
  const seen = new Set<IndexExpr>();
  const stack = [root];
  while (stack.length > 0) {
    const expr = positive(stack.pop()!);
    if (seen.has(expr)) continue;
    seen.add(expr);
    if (isCall(expr, join)) stack.push(expr.args[1]!, expr.args[0]!);
    else found.push(expr);
  }
  return found;
}

/** The same truth without a `not` at its head, where that is another function. */
function positive(expr: IndexExpr): IndexExpr {
  if (!isCall(expr, "not")) return expr;
  const inner = expr.args[0]!;
  if (inner.kind !== "apply") return expr;
  if (inner.fn === "not") return positive(inner.args[0]!);
  if (inner.fn === "and" || inner.fn === "or")
    return applied(inner.fn === "and" ? "or" : "and", ...inner.args.map((arg) => applied("not", arg)));
  const turned = opposite[inner.fn];
  return turned ? applied(turned, ...inner.args) : expr;
}

/** Which of q (1), k (2), b (4), h (8) an expression reads. */
export function readsOf(root: IndexExpr): number {
  let reads = 0;
  for (const part of partsInOrder(root)) if (part.kind === "index") reads |= { q: 1, k: 2, b: 4, h: 8 }[part.name];
  return reads;
}
