import { attentionVariants } from "./attention-variants.ts";
import { compileTime } from "./compile-time.ts";
import { contractionOrders } from "./contraction-order.ts";
import { contractions } from "./contractions.ts";
import { linear } from "./linear.ts";
import { maskStructures } from "./mask-structure.ts";
import type { Measurement } from "./measurement.ts";
import { minilm } from "./minilm.ts";
import { neverSlower } from "./never-slower.ts";
import { norms } from "./norms.ts";
import { peakMemoryOfAttention } from "./peak-memory.ts";
import { smallLayers } from "./small-layers.ts";
import { unpadding } from "./unpad.ts";

/** Every measurement, in the order they run. */
export const measurements: readonly Measurement[] = [
  smallLayers,
  norms,
  contractions,
  contractionOrders,
  linear,
  minilm,
  unpadding,
  peakMemoryOfAttention,
  compileTime,
  maskStructures,
  attentionVariants,
  neverSlower,
];
