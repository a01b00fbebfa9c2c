import type { IndexFn } from "../index-expr/functions.ts";
import { applied, type IndexExpr, lookup, partsInOrder, partsOf } from "../index-expr/types.ts";

const opposite: Partial<Record<IndexFn, IndexFn>> = {
  equal: "notEqual",
  notEqual: "equal",
};

const isCall = (expr: IndexExpr, fn: IndexFn): expr is IndexExpr & { readonly kind: "apply" } =>
  expr.kind === "apply" && expr.fn === fn;

/** Operands of nested `and` (or `or`), negations pushed inwards. Comparisons other than (in)equality keep their `not`. */
export function operandsOf(join: "and" | "or", root: IndexExpr): readonly IndexExpr[] {
  const found: IndexExpr[] = [];
  const stack = [root];
  while (stack.length > 0) {
    const expr = positive(stack.pop()!);
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

/** `root` with parts replaced, from the inside out; what a replacement holds is left as it is. */
export function rewrite(root: IndexExpr, replace: (expr: IndexExpr) => IndexExpr): IndexExpr {
  const made = new Map<IndexExpr, IndexExpr>();
  for (const expr of partsInOrder(root)) {
    const parts = partsOf(expr).map((part) => made.get(part)!);
    const same = parts.every((part, i) => part === partsOf(expr)[i]);
    const rebuilt = same
      ? expr
      : expr.kind === "apply"
        ? applied(expr.fn, ...parts)
        : expr.kind === "lookup"
          ? lookup(expr.table, parts)
          : expr;
    made.set(expr, replace(rebuilt));
  }
  return made.get(root)!;
}

/** Which of q (1), k (2), b (4), h (8) an expression reads. */
export function readsOf(root: IndexExpr): number {
  let reads = 0;
  for (const part of partsInOrder(root)) if (part.kind === "index") reads |= { q: 1, k: 2, b: 4, h: 8 }[part.name];
  return reads;
}
