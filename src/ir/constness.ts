import { opDef } from "./arena.ts";
import type { AttrKind, AttrValue } from "./attrs.ts";
import { type Dim, isStatic } from "./dim.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";

/**
 * Nodes whose results are known before any input is: below them are only parameters, constants, and counts without
 * symbols. They can be computed ahead, once weights are bound. Leaves of that kind are among them.
 */
export function foldableNodes(graph: Graph): ReadonlySet<Node> {
  return collect(nodesOf(graph), new Set());
}

const reaching = new WeakMap<Node, boolean>();

/** Whether an input is below a value, so that it has no meaning outside of the graph with that input. */
export function reachesInput(value: Value): boolean {
  const known = reaching.get(value.node);
  if (known !== undefined) return known;
  const stack = [{ node: value.node, next: 0 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const operand = reaching.has(top.node) ? undefined : top.node.operands[top.next++];
    if (operand) {
      if (!reaching.has(operand.node)) stack.push({ node: operand.node, next: 0 });
      continue;
    }
    stack.pop();
    const { op, operands } = top.node;
    reaching.set(top.node, op === "input" || operands.some(({ node }) => reaching.get(node)));
  }
  return reaching.get(value.node)!;
}

/** `given` are inputs to be taken as known, as the captures of a branch are. */
function collect(nodes: readonly Node[], given: ReadonlySet<Node>): ReadonlySet<Node> {
  const foldable = new Set<Node>(given);
  for (const node of nodes)
    if (node.op !== "input" && node.operands.every((value) => foldable.has(value.node)) && isNumeric(node))
      foldable.add(node);
  return foldable;
}

/** No symbol in the types or attributes, nor in the graphs it holds; what only the runtime can run is known there alone. */
function isNumeric(node: Node): boolean {
  if (node.op === "opaque" || !node.results.every(({ type }) => type.shape.every(isStatic))) return false;
  const { attrs } = opDef(node.op);
  for (const [name, value] of node.attrs) if (!isNumericAttr(attrs[name]!.kind, value)) return false;
  return true;
}

function isNumericAttr(kind: AttrKind, value: AttrValue): boolean {
  if (kind === "dim") return isStatic(value as Dim);
  if (kind === "dims") return (value as readonly Dim[]).every(isStatic);
  if (kind !== "graph") return true;
  return isNumericGraph(value as Graph);
}

const known = new WeakMap<Graph, boolean>();

/** Whether the outputs are known once the inputs are. */
function isNumericGraph(graph: Graph): boolean {
  let numeric = known.get(graph);
  if (numeric === undefined) {
    const foldable = collect(nodesOf(graph), new Set(graph.inputs.map((input) => input.node)));
    numeric = graph.outputs.every((output) => foldable.has(output.value.node));
    known.set(graph, numeric);
  }
  return numeric;
}
