import { Arena, attrRecord, graphOf, opDef } from "./arena.ts";
import { type Graph, type Node, Value } from "./graph.ts";

const cache = new WeakMap<Node, Graph | null>();

/**
 * What a composite means, one level down: a graph whose inputs stand for the node's operands, in order, and whose
 * outputs are its results. It lives in an arena of its own. Undefined for primitives. Made once per node.
 */
export function decompositionOf(node: Node): Graph | undefined {
  const known = cache.get(node);
  if (known !== undefined) return known ?? undefined;
  const made = decompose(node);
  cache.set(node, made ?? null);
  return made;
}

function decompose(node: Node): Graph | undefined {
  const def = opDef(node.op);
  if (!def.decompose) return undefined;
  const { build } = new Arena();
  const inputs = node.operands.map(({ type }, i) => build.input({ name: `operand${i}`, ...type }));
  const made = def.decompose(build, inputs, attrRecord(node));
  const results = made instanceof Value ? [made] : made;
  return graphOf(
    node.op,
    inputs,
    results.map((value, i) => [`result${i}`, value] as const),
  );
}
