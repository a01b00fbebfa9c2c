import { type Tolerance, tolerances } from "./backends/ort/compare-outputs.ts";
import { opDef } from "./ir/arena.ts";
import { foldableNodes } from "./ir/constness.ts";
import { everyNode } from "./ir/cost.ts";
import type { Graph } from "./ir/graph.ts";

/**
 * How nearly results agree that the runtime computes, where it computes some of them in bf16 or f16; undefined where it
 * does not. Outputs may be wider than what they are made of. Tensors that are only kept in such a type, as weights are,
 * round nothing.
 */
export function roundingTolerance(graph: Graph): Tolerance | undefined {
  const known = foldableNodes(graph);
  const made = everyNode(graph).filter((node) => !known.has(node) && !keeps(node.op));
  const types = new Set(made.flatMap(({ results }) => results.map(({ type }) => type.dtype)));
  return types.has("bf16") ? tolerances.bf16 : types.has("f16") ? tolerances.f16 : undefined;
}

const keeps = (op: Parameters<typeof opDef>[0]): boolean =>
  opDef(op).traits.some((trait) => trait === "leaf" || trait === "movement");
