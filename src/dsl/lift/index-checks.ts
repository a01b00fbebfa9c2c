import { evaluate, symbolsOf } from "../../ir/dim.ts";
import type { LengthName, Lengths } from "../../ir/index-expr/types.ts";

/** Whether an index of a function stays within its table, asked once the lengths are known. */
export interface IndexCheck {
  readonly lengths: Lengths;
  /** Throws QKV148 with the place in the author's file. */
  run(lengths: Readonly<Record<LengthName, number>>, sizes: ReadonlyMap<string, number>): void;
}

/** Asks all checks whose queries and keys these sizes say. Throws QKV148. */
export function checkIndices(checks: readonly IndexCheck[], sizes: ReadonlyMap<string, number>): void {
  for (const { lengths, run } of checks) {
    const size = (name: LengthName) => {
      const known = symbolsOf(lengths[name]).every((symbol) => sizes.has(symbol));
      return known ? evaluate(lengths[name], sizes) : undefined;
    };
    const [Q, K] = [size("Q"), size("K")];
    if (Q && K) run({ B: size("B") || 1, H: size("H") || 1, Q, K }, sizes);
  }
}
