import { simplified } from "./simplify.ts";
import { type IndexExpr, lookup, partsInOrder } from "./types.ts";

/**
 * A formula with some parts replaced: `by` sees every part once, its own parts replaced already, and answers what takes
 * its place. What is made of replaced parts is simplified again.
 */
export function substituteParts(root: IndexExpr, by: (part: IndexExpr) => IndexExpr): IndexExpr {
  const done = new Map<IndexExpr, IndexExpr>();
  for (const part of partsInOrder(root)) done.set(part, by(rebuilt(part, done)));
  return done.get(root)!;
}

function rebuilt(part: IndexExpr, done: ReadonlyMap<IndexExpr, IndexExpr>): IndexExpr {
  if (part.kind === "apply") {
    const args = part.args.map((arg) => done.get(arg)!);
    return args.every((arg, i) => arg === part.args[i]) ? part : simplified(part.fn, ...args);
  }
  if (part.kind !== "lookup") return part;
  const at = part.at.map((inner) => done.get(inner)!);
  return at.every((inner, i) => inner === part.at[i]) ? part : lookup(part.table, at);
}
