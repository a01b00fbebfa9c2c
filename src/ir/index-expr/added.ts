import { simplified } from "./simplify.ts";
import { constant, type IndexExpr, partsInOrder, score } from "./types.ts";

const zero = constant(0);

/** f where the score function is `s + f` and f does not read s; undefined where it is not. */
export function addedTo(expr: IndexExpr): IndexExpr | undefined {
  if (expr.kind === "score") return zero;
  if (expr.kind !== "apply") return undefined;
  const [x, y, z] = expr.args as readonly [IndexExpr, IndexExpr, IndexExpr];
  const plus = (inner: IndexExpr | undefined, fn: "add" | "sub", other: IndexExpr) =>
    inner === undefined ? undefined : inner === zero && fn === "add" ? other : simplified(fn, inner, other);
  switch (expr.fn) {
    case "add":
      if (!readsScore(y)) return plus(addedTo(x), "add", y);
      return readsScore(x) ? undefined : plus(addedTo(y), "add", x);
    case "sub":
      if (readsScore(y)) return undefined;
      return addedTo(x) === zero ? simplified("neg", y) : plus(addedTo(x), "sub", y);
    case "select": {
      if (readsScore(x)) return undefined;
      const [whenTrue, whenFalse] = [addedTo(y), addedTo(z)];
      return whenTrue && whenFalse && simplified("select", x, whenTrue, whenFalse);
    }
    default:
      return undefined;
  }
}

export const readsScore = (expr: IndexExpr): boolean => partsInOrder(expr).includes(score());
