import { expandDims, notEqual, optionalInput, type Tensor } from "qkv";

/**
 * The input `attention_mask` [batch, seq], 0 where a sequence is padded, as attention takes it: [batch, 1, 1, seq].
 * Undefined where runs give none.
 */
export function paddingMask(): Tensor | undefined {
  const mask = optionalInput("attention_mask", "i64", ["batch", "seq"], { present: true });
  return mask && expandDims(notEqual(mask, 0), 1, 2);
}
