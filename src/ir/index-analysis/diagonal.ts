import type { Dim } from "../dim.ts";
import { substituteParts } from "../index-expr/substitute.ts";
import { constant, type IndexFormula, index, partsInOrder } from "../index-expr/types.ts";
import { boxProgram } from "./program.ts";

/** Whether the key at the query's own place is seen by every query, proven for all lengths. */
export function seesItself({ expr, tables }: IndexFormula, queries: Dim, keys: Dim): boolean {
  if (queries !== keys) return false;
  const diagonal = substituteParts(expr, (part) => (part === index("k") ? index("q") : part));
  if (diagonal === constant(1)) return true;
  const reads = partsInOrder(diagonal);
  if (reads.some(({ kind }) => kind === "length")) return false;
  const [Q, K] = typeof queries === "number" ? [queries, queries] : [longest, longest];
  if (Q < 1) return false;
  const program = boxProgram({ expr: diagonal, tables }, { B: mostBatches, H: mostBatches, Q, K });
  return program.verdict(0, Q - 1, 0, K - 1) === "full";
}

/** Beyond any length and any number of batches and heads. */
const longest = 2 ** 28;
const mostBatches = 2 ** 20;
