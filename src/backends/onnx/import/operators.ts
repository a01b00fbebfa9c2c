import type { Conversion } from "./node.ts";
import { attentionConversions } from "./ops/attention.ts";
import { contribAttention } from "./ops/contrib-attention.ts";
import { controlConversions } from "./ops/control.ts";
import { contribElementwise, elementwiseConversions } from "./ops/elementwise.ts";
import { indexingConversions } from "./ops/indexing.ts";
import { movementConversions } from "./ops/movement.ts";
import { contribNorms, normConversions } from "./ops/norm.ts";
import { contribProducts, productConversions } from "./ops/products.ts";
import { reduceConversions } from "./ops/reduce.ts";
import { contribRotary, rotaryConversions } from "./ops/rotary.ts";
import { onContents, shapeConversions } from "./ops/shape.ts";
import { unmodelled } from "./unmodelled.ts";

const standard: Readonly<Record<string, Conversion>> = {
  ...elementwiseConversions,
  ...movementConversions,
  ...indexingConversions,
  ...reduceConversions,
  ...productConversions,
  ...normConversions,
  ...attentionConversions,
  ...rotaryConversions,
  ...shapeConversions,
  ...controlConversions,
};

const none: Conversion = () => unmodelled("the IR has no op for it");

const withContents = (conversions: Readonly<Record<string, Conversion>>): ReadonlyMap<string, Conversion> => {
  const all = new Map(Object.entries(conversions));
  for (const [opType, first] of Object.entries(onContents)) all.set(opType, first(all.get(opType) ?? none));
  return all;
};

const domains: ReadonlyMap<string, ReadonlyMap<string, Conversion>> = new Map([
  ["", withContents(standard)],
  [
    "com.microsoft",
    new Map(
      Object.entries({
        ...contribElementwise,
        ...contribNorms,
        ...contribProducts,
        ...contribRotary,
        ...contribAttention,
      }),
    ),
  ],
]);

/** How an operator is said in our ops; undefined for one that never is. */
export const conversionOf = (domain: string, opType: string): Conversion | undefined =>
  domains.get(domain)?.get(opType);
