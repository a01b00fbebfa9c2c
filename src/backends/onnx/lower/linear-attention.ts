import type { linearAttention } from "../../../ir/ops/linear-attention.ts";
import type { Lowerings } from "./lowering.ts";

/** Written as its steps: `linearise` has chosen chunks before, where they pay. */
export const linearAttentionLowerings: Lowerings<keyof typeof linearAttention> = { linearAttention: () => undefined };
