import { opDef } from "./arena.ts";
import type { AttrSpecs } from "./attrs.ts";
import { costContext } from "./cost.ts";
import { decompositionOf } from "./decomposition.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";
import type { CostContext } from "./op-def.ts";
import { stretchedAxis } from "./ops/shape-rules.ts";

/**
 * Where axis `axis` of operand `operand` is found in the results of a node, if the node works along it index by index:
 * index i of each result needs only index i of that operand. Undefined where indices mix, or nothing is known.
 */
export function followAxis(node: Node, operand: number, axis: number): number | undefined {
  const def = opDef(node.op);
  if (def.follow) return def.follow(contextOf(node), operand, axis);
  if (def.traits.includes("elementwise"))
    return stretchedAxis(node.operands[operand]!.type, node.results[0]!.type, axis);
  const meaning = decompositionOf(node);
  return meaning && followThrough(meaning, operand, axis);
}

/** Contexts by node: a concatenation of very many parts is followed from each of them. */
const contexts = new WeakMap<Node, CostContext<AttrSpecs>>();

function contextOf(node: Node): CostContext<AttrSpecs> {
  let context = contexts.get(node);
  if (!context) contexts.set(node, (context = costContext(node)));
  return context;
}

/** The same through a graph, for all of whose outputs it must be one axis. */
function followThrough(graph: Graph, input: number, axis: number): number | undefined {
  const axes = new Map<Value, number | undefined>([[graph.inputs[input]!, axis]]);
  for (const node of nodesOf(graph)) {
    const reached = node.operands.flatMap((value, i) => (axes.has(value) ? [[i, axes.get(value)] as const] : []));
    if (reached.length === 0) continue;
    const found = new Set(reached.map(([i, at]) => (at === undefined ? undefined : followAxis(node, i, at))));
    const [only] = found;
    for (const result of node.results) axes.set(result, found.size === 1 ? only : undefined);
  }
  const ends = new Set(graph.outputs.map(({ value }) => axes.get(value)));
  return ends.size === 1 ? [...ends][0] : undefined;
}
