import type { attention } from "../../../ir/ops/attention.ts";
import type { Lowerings } from "./lowering.ts";

export const attentionLowerings: Lowerings<keyof typeof attention> = {
  attention: () => undefined,
  packedAttention: () => undefined,
};
