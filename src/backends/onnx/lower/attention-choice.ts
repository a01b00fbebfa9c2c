import type { Dim } from "../../../ir/dim.ts";
import { isStatic } from "../../../ir/dim.ts";

/**
 * Ways to write attention:
 * `standard` ai.onnx Attention; `multiHead` com.microsoft MultiHeadAttention, which keeps no scores; `grouped`
 * com.microsoft GroupQueryAttention, which keeps no scores and skips what lies above the diagonal.
 */
export type AttentionForm = "standard" | "multiHead" | "grouped";

/** What decides between the forms besides the length. */
export type AttentionCase = "full" | "causal" | "masked" | "causalMasked";

/** From these lengths on the kernels that keep no scores are faster (8 and 12 heads of width 32 and 64, float32). */
export interface FlashFrom {
  readonly full: number;
  readonly causal: number;
}

const measured: FlashFrom = { full: 1024, causal: 1024 };

/** Products of heads of less than this width are a smaller part of the time, and what skips them pays later (4 and 8 heads of width 16). */
const narrow = { below: 32, later: 1.25 } as const;

type Row = readonly [from: number, form: AttentionForm];

/** The fastest form on ONNX Runtime 1.30, CPU, from each number of keys on. `masked` means a mask or a bias. */
const table = ({ full, causal }: FlashFrom): Readonly<Record<AttentionCase, readonly Row[]>> => ({
  full: [
    [0, "standard"],
    [full, "multiHead"],
  ],
  causal: [
    [0, "standard"],
    [causal, "grouped"],
  ],
  masked: [[0, "standard"]],
  causalMasked: [
    [0, "standard"],
    [causal, "grouped"],
  ],
});

/**
 * The forms of a case with the lengths they pay from, shortest first. Each can stand in for those after it. Heads that
 * are not `packed` must be moved for a kernel that takes them so, which pays later, as `narrow` ones do.
 */
export const formsByLength = (
  kind: AttentionCase,
  packed: boolean,
  width: Dim,
  { full, causal }: FlashFrom = measured,
): readonly Row[] => {
  const isNarrow = isStatic(width) && width < narrow.below;
  const from = { full: packed ? full : 2 * full, causal: isNarrow ? narrow.later * causal : causal };
  return table(from)[kind].filter(([length]) => Number.isFinite(length));
};

/** Static causal lengths at which a mask written into the model beats the kernel's own causal flag. */
export const causalMaskLengths = { from: 256, to: 1023 } as const;
