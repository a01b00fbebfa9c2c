import { atLeast, type Dim } from "../dim.ts";
import { substituteParts } from "../index-expr/substitute.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexFormula,
  index,
  length,
  partsInOrder,
} from "../index-expr/types.ts";
import { readsOf } from "./logic.ts";
import { boxProgram } from "./program.ts";

/** How many keys there are before the first query where the queries are the last of them, as after a cache. */
export const keysBefore: IndexExpr = applied("sub", length("K"), length("Q"));

/** The place of a query among the keys where the queries are the last of them. */
export const placeAmongLast: IndexExpr = applied("add", index("q"), keysBefore);

/** No key after the place of the query among them. */
export const causalAmongLast: IndexExpr = applied("lessEqual", index("k"), placeAmongLast);

/**
 * Whether the key at the query's own place is seen by every query, proven for all lengths. Where there are more keys than
 * queries, these are the last of them.
 */
export function seesItself({ expr, tables }: IndexFormula, queries: Dim, keys: Dim): boolean {
  if (!atLeast(keys, queries)) return false;
  const placed =
    queries === keys ? expr : substituteParts(expr, (part) => (part === placeAmongLast ? index("k") : part));
  if (queries !== keys && (readsOf(placed) & 1) !== 0) return false;
  const diagonal = substituteParts(placed, (part) => (part === index("k") ? index("q") : part));
  if (diagonal === constant(1)) return true;
  const reads = partsInOrder(diagonal);
  if (reads.some(({ kind }) => kind === "length")) return false;
  const [Q, K] = typeof keys === "number" ? [keys, keys] : [longest, longest];
  if (Q < 1) return false;
  const program = boxProgram({ expr: diagonal, tables }, { B: mostBatches, H: mostBatches, Q, K });
  return program.verdict(0, Q - 1, 0, K - 1) === "full";
}

/** Beyond any length and any number of batches and heads. */
const longest = 2 ** 28;
const mostBatches = 2 ** 20;
