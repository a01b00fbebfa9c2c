import type { Dim } from "../../../ir/dim.ts";
import { evaluate, symbolsOf } from "../../../ir/dim.ts";

/**
 * Ways to write attention:
 * `standard` ai.onnx Attention; `multiHead` com.microsoft MultiHeadAttention, which keeps no scores; `grouped`
 * com.microsoft GroupQueryAttention, which keeps no scores and skips what lies above the diagonal.
 */
export type AttentionForm = "standard" | "multiHead" | "grouped";

/** What decides between the forms besides the length. */
export type AttentionCase = "full" | "causal" | "masked" | "causalMasked";

/**
 * The fastest form on ONNX Runtime 1.30, CPU, from each length of the keys on (8 and 12 heads of width 64, float32).
 * A form that cannot express a case gives way to the one before it in its row. `masked` means a mask or a bias.
 */
const measured: Readonly<Record<AttentionCase, readonly (readonly [from: number, form: AttentionForm])[]>> = {
  full: [
    [0, "standard"],
    [2048, "multiHead"],
  ],
  causal: [
    [0, "standard"],
    [1024, "grouped"],
  ],
  masked: [[0, "standard"]],
  causalMasked: [
    [0, "standard"],
    [1024, "grouped"],
  ],
};

/** The forms to try in order. A length that is not known counts as long: what is lost on short ones is little, the memory saved on long ones is not. */
export function attentionForms(
  kind: AttentionCase,
  keys: Dim,
  dims: ReadonlyMap<string, number>,
): readonly AttentionForm[] {
  const known = symbolsOf(keys).every((name) => dims.has(name));
  const length = known ? evaluate(keys, dims) : Number.POSITIVE_INFINITY;
  return measured[kind]
    .filter(([from]) => from <= length)
    .map(([, form]) => form)
    .reverse();
}

/** Static causal lengths at which a mask written into the model beats the kernel's own causal flag. */
export const causalMaskLengths = { from: 256, to: 1023 } as const;
