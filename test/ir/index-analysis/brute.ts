import type { BlockClass, Box } from "../../../src/ir/index-analysis/classify.ts";
import type { MaskLengths } from "../../../src/ir/index-analysis/program.ts";
import { indexEvaluator } from "../../../src/ir/index-expr/evaluate.ts";
import type { IndexFormula } from "../../../src/ir/index-expr/types.ts";

/** The mask as numbers, [Q, K] row by row, of one batch and head. */
export function dense(formula: IndexFormula, lengths: MaskLengths, b = 0, h = 0): Uint8Array {
  const evaluate = indexEvaluator(formula);
  const { B = 1, H = 1, Q, K } = lengths;
  const out = new Uint8Array(Q * K);
  for (let q = 0; q < Q; q++)
    for (let k = 0; k < K; k++) out[q * K + k] = evaluate({ b, h, q, k, lengths: { B, H, Q, K } }) !== 0 ? 1 : 0;
  return out;
}

/** The class of a block of a dense mask. */
export function classOf(mask: Uint8Array, keys: number, { q, k }: Box): BlockClass {
  let [yes, no] = [false, false];
  for (let i = q[0]; i <= q[1]; i++)
    for (let j = k[0]; j <= k[1]; j++) {
      if (mask[i * keys + j] === 1) yes = true;
      else no = true;
      if (yes && no) return "partial";
    }
  return yes ? "full" : "empty";
}
