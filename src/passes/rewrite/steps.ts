import { opDef } from "../../ir/arena.ts";
import { isFloat } from "../../ir/dtype.ts";
import { type Graph, type Node, nodesOf } from "../../ir/graph.ts";

const rounding: ReadonlySet<string> = new Set(["floor", "ceil", "round", "sign", "mod", "cast"]);
const isOfFloats = ({ results }: Node): boolean => results.every(({ type }) => isFloat(type.dtype));

/** Whether a node computes elements from elements. */
export const isElementwise = ({ op }: Node): boolean => {
  const { traits } = opDef(op);
  return traits.includes("elementwise") && !traits.includes("composite");
};

const isMovement = ({ op }: Node): boolean => opDef(op).traits.includes("movement");

/** Whether a node goes by steps: it rounds to whole numbers, takes a remainder, or compares. */
const isStep = (node: Node): boolean =>
  rounding.has(node.op) ? node.op !== "cast" || !isOfFloats(node) : !isOfFloats(node);

/**
 * Nodes whose results a step is made of, element by element: where they differ in their last bit, what follows may differ
 * by a whole number, as a bucket of distances.
 */
export function aheadOfSteps(graph: Graph): ReadonlySet<Node> {
  const found = new Set<Node>();
  for (const node of nodesOf(graph).toReversed()) {
    const carries = isElementwise(node) ? isStep(node) || found.has(node) : isMovement(node) && found.has(node);
    if (!carries) continue;
    for (const { node: operand, type } of node.operands) if (isFloat(type.dtype)) found.add(operand);
  }
  return found;
}
