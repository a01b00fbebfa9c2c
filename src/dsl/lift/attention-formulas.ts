import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr, index, joinedBy, readsScore } from "../../ir/index-expr/types.ts";

const minusInfinity = constant(-Infinity);
const isCausal = (expr: IndexExpr) =>
  expr.kind === "apply" &&
  ((expr.fn === "lessEqual" && expr.args[0] === index("k") && expr.args[1] === index("q")) ||
    (expr.fn === "greaterEqual" && expr.args[0] === index("q") && expr.args[1] === index("k")));

const both = (x: IndexExpr, y: IndexExpr): IndexExpr => (x === constant(1) ? y : simplified("and", x, y));

/** A mask as `k <= q`, where it demands that, and what else it demands. */
export function splitCausal(mask: IndexExpr): { readonly causal: boolean; readonly rest: IndexExpr } {
  const parts = joinedBy("and", mask);
  const others = parts.filter((part) => !isCausal(part));
  const rest = others.reduce<IndexExpr>(both, constant(1));
  return { causal: others.length < parts.length, rest };
}

/** `condition ? score : -Infinity` as a mask and a score; a condition on the score is none of a mask. */
export function splitMasked(expr: IndexExpr): { readonly seen: IndexExpr; readonly score: IndexExpr } {
  let [seen, rest] = [constant(1), expr];
  while (rest.kind === "apply" && rest.fn === "select") {
    const [condition, x, y] = rest.args as readonly [IndexExpr, IndexExpr, IndexExpr];
    if (readsScore(condition)) break;
    if (y === minusInfinity) {
      seen = both(seen, condition);
      rest = x;
    } else if (x === minusInfinity) {
      seen = both(seen, simplified("not", condition));
      rest = y;
    } else break;
  }
  return { seen, score: rest };
}
