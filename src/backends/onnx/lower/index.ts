import type { OpName } from "../../../ir/ops/index.ts";
import { activationLowerings } from "./activation.ts";
import { attentionLowerings } from "./attention.ts";
import { contractLowerings } from "./contract.ts";
import { controlLowerings } from "./control.ts";
import { elementwiseLowerings } from "./elementwise.ts";
import { indexingLowerings } from "./indexing.ts";
import { leafLowerings } from "./leaves.ts";
import { linearAttentionLowerings } from "./linear-attention.ts";
import type { Lowering, Lowerings } from "./lowering.ts";
import { movementLowerings } from "./movement.ts";
import { normLowerings } from "./norm.ts";
import { opaqueLowerings } from "./opaque.ts";
import { positionLowerings } from "./position.ts";
import { reduceLowerings } from "./reduce.ts";

/** How each op is written in ONNX. */
export const lowerings: Lowerings = {
  ...leafLowerings,
  ...elementwiseLowerings,
  ...reduceLowerings,
  ...movementLowerings,
  ...indexingLowerings,
  ...contractLowerings,
  ...activationLowerings,
  ...normLowerings,
  ...attentionLowerings,
  ...linearAttentionLowerings,
  ...positionLowerings,
  ...opaqueLowerings,
  ...controlLowerings,
};

const table: ReadonlyMap<string, Lowering<OpName>> = new Map(
  Object.entries(lowerings as Readonly<Record<string, Lowering<OpName>>>),
);

export const loweringOf = (op: string): Lowering<OpName> | undefined => table.get(op);
