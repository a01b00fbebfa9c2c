import type { Pass } from "./pass.ts";
import { normalise } from "./rewrite/normalise.ts";
import type { Rule } from "./rewrite/rule.ts";
import { algebra } from "./rules/algebra.ts";
import { contraction } from "./rules/contraction.ts";
import { movement } from "./rules/movement.ts";
import { orders } from "./rules/order.ts";
import { places } from "./rules/places.ts";

export const canonicaliseRules: readonly Rule[] = [...algebra, ...movement, ...places, ...orders, ...contraction];

/** One spelling for what has many: fewer patterns for every later pass. */
export const canonicalise: Pass = {
  name: "canonicalise",
  doc: "Identities of arithmetic and movement; einsum becomes contract, transposes around contractions become labels.",
  run: (graph, cx) => normalise(graph, canonicaliseRules, cx),
};
