import type { IndexFn } from "./functions.ts";
import { simplified } from "./simplify.ts";
import { type IndexExpr, lookup, partsInOrder } from "./types.ts";

/**
 * A formula with some parts replaced, from the inside out: `by` sees every part once, its own parts replaced already, and
 * answers what takes its place; what a replacement holds is left as it is. What is made of replaced parts is simplified,
 * unless `make` says otherwise.
 */
export function substituteParts(
  root: IndexExpr,
  by: (part: IndexExpr) => IndexExpr,
  make: (fn: IndexFn, ...args: readonly IndexExpr[]) => IndexExpr = simplified,
): IndexExpr {
  const done = new Map<IndexExpr, IndexExpr>();
  for (const part of partsInOrder(root)) {
    const parts = part.kind === "apply" ? part.args : part.kind === "lookup" ? part.at : [];
    const next = parts.map((inner) => done.get(inner)!);
    const same = next.every((inner, i) => inner === parts[i]);
    const rebuilt =
      same || (part.kind !== "apply" && part.kind !== "lookup")
        ? part
        : part.kind === "apply"
          ? make(part.fn, ...next)
          : lookup(part.table, next);
    done.set(part, by(rebuilt));
  }
  return done.get(root)!;
}
