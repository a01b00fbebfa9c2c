import { activation } from "./activation.ts";
import { attention } from "./attention.ts";
import { contract } from "./contract.ts";
import { control } from "./control.ts";
import { einsum } from "./einsum.ts";
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { leaves } from "./leaves.ts";
import { linearAttention } from "./linear-attention.ts";
import { movement } from "./movement.ts";
import { norm } from "./norm.ts";
import { opaque } from "./opaque.ts";
import { position } from "./position.ts";
import { reduce } from "./reduce.ts";
import { softmax } from "./softmax.ts";

/** Every op there is. */
export const ops = {
  ...leaves,
  ...elementwise,
  ...reduce,
  ...movement,
  ...indexing,
  ...contract,
  ...einsum,
  ...softmax,
  ...attention,
  ...linearAttention,
  ...norm,
  ...activation,
  ...position,
  ...control,
  ...opaque,
} as const;

export type OpName = keyof typeof ops;
