import { simplified } from "./simplify.ts";
import { constant, type IndexExpr, partsInOrder, partsOf } from "./types.ts";

const zero = constant(0);

/** f where the score function is `s + f` and f does not read s; undefined where it is not. */
export function addedTo(root: IndexExpr): IndexExpr | undefined {
  /** What is added by each part that reads the score. */
  const added = new Map<IndexExpr, IndexExpr | undefined>();
  for (const part of partsInOrder(root)) {
    if (part.kind === "score") added.set(part, zero);
    else if (partsOf(part).some((inner) => added.has(inner))) added.set(part, addedBy(part, added));
  }
  return added.get(root);
}

function addedBy(expr: IndexExpr, added: ReadonlyMap<IndexExpr, IndexExpr | undefined>): IndexExpr | undefined {
  if (expr.kind !== "apply") return undefined;
  const [x, y, z] = expr.args as readonly [IndexExpr, IndexExpr, IndexExpr];
  const plus = (inner: IndexExpr | undefined, fn: "add" | "sub", other: IndexExpr) =>
    inner === undefined ? undefined : inner === zero && fn === "add" ? other : simplified(fn, inner, other);
  switch (expr.fn) {
    case "add":
      if (!added.has(y)) return plus(added.get(x), "add", y);
      return added.has(x) ? undefined : plus(added.get(y), "add", x);
    case "sub":
      if (added.has(y)) return undefined;
      return added.get(x) === zero ? simplified("neg", y) : plus(added.get(x), "sub", y);
    case "select": {
      if (added.has(x)) return undefined;
      const [whenTrue, whenFalse] = [added.get(y), added.get(z)];
      return whenTrue && whenFalse && simplified("select", x, whenTrue, whenFalse);
    }
    default:
      return undefined;
  }
}
