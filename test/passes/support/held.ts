import { canHoldBias } from "../../../src/passes/mask/held-bias.ts";
import type { MaskProblem } from "../../../src/passes/mask/problem.ts";

/** A problem as it is, and with all that may be held up where it is steep. */
export function heldEveryWay(plain: MaskProblem): readonly MaskProblem[] {
  if (!plain.isPlain) return [plain];
  const scores = { ...plain, held: "scores" as const };
  return canHoldBias(plain) ? [plain, scores, { ...plain, held: "biases" as const }] : [plain, scores];
}
