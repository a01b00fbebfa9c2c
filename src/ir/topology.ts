import { Graph as DirectedGraph } from "graphlib";
import { type Graph, type Node, nodesOf } from "./graph.ts";
import { inlineConstants } from "./print.ts";
import { type HintSource, nameValues } from "./text-names.ts";
import { showType } from "./types.ts";

/** How the nodes of a graph hang together. Derived for reports and drawings; the graph itself is the truth. */
export interface Topology {
  /** A directed multigraph: nodes `%<id>` labelled with the node, one edge named `<operand index>` per operand. */
  readonly view: DirectedGraph;
  /** Nodes of each part that has no edge to another part, operands first; the part with most nodes first. */
  readonly components: readonly (readonly Node[])[];
  /** A longest chain of nodes, each an operand of the next. */
  readonly longestPath: readonly Node[];
  /** Most nodes at one depth, the depth of a node being the length of the longest chain up to it. */
  readonly width: number;
}

// Ids have a prefix because keys that look like numbers come back reordered, and some names are those of objects.
const idOf = (node: Node) => `%${node.id}`;

/** The view of `graph`. Inputs nothing uses are part of it. Subgraphs are not entered. */
export function topology(graph: Graph): Topology {
  const order = everyNode(graph);
  const view = viewOf(order);
  return { view, components: componentsOf(view, order), ...depthsOf(order) };
}

const everyNode = (graph: Graph): readonly Node[] => [
  ...new Set([...graph.inputs.map(({ node }) => node), ...nodesOf(graph)]),
];

function viewOf(order: readonly Node[]): DirectedGraph {
  const view = new DirectedGraph({ directed: true, multigraph: true });
  for (const node of order) view.setNode(idOf(node), node);
  for (const node of order)
    node.operands.forEach((value, index) => {
      view.setEdge(idOf(value.node), idOf(node), value.index, String(index));
    });
  return view;
}

/** Flooded with a stack of its own: the library's `alg.components` and `alg.topsort` recurse once per node of a chain. */
function componentsOf(view: DirectedGraph, order: readonly Node[]): readonly (readonly Node[])[] {
  const part = new Map<string, number>();
  const parts: Node[][] = [];
  for (const start of order) {
    if (part.has(idOf(start))) continue;
    const stack = [idOf(start)];
    part.set(idOf(start), parts.length);
    for (let id = stack.pop(); id !== undefined; id = stack.pop())
      for (const next of view.neighbors(id) ?? [])
        if (!part.has(next)) {
          part.set(next, parts.length);
          stack.push(next);
        }
    parts.push([]);
  }
  for (const node of order) parts[part.get(idOf(node))!]!.push(node);
  return parts.sort((a, b) => b.length - a.length);
}

function depthsOf(order: readonly Node[]): Pick<Topology, "longestPath" | "width"> {
  const depths = new Map<Node, number>();
  const before = new Map<Node, Node>();
  const levels: number[] = [];
  let deepest: Node | undefined;
  for (const node of order) {
    let depth = 0;
    for (const { node: operand } of node.operands)
      if (depths.get(operand)! + 1 > depth) {
        depth = depths.get(operand)! + 1;
        before.set(node, operand);
      }
    depths.set(node, depth);
    levels[depth] = (levels[depth] ?? 0) + 1;
    if (!deepest || depth > depths.get(deepest)!) deepest = node;
  }
  const path: Node[] = [];
  for (let node = deepest; node; node = before.get(node)) path.push(node);
  return { longestPath: path.reverse(), width: levels.reduce((widest, count) => Math.max(widest, count), 0) };
}

/** The graph in the DOT language of Graphviz; names as in the text form, constants written in place left out. */
export function toDot(graph: Graph, hints?: HintSource): string {
  const inline = inlineConstants(graph, nodesOf(graph));
  const order = everyNode(graph).filter((node) => !inline.has(node));
  const names = nameValues(graph, hints, inline);
  const lines = [`digraph ${quote(graph.name)} {`, "  node [shape=box, fontname=monospace];"];
  for (const node of order) {
    const results = node.results.map((value) => `%${names.get(value)}: ${showType(value.type)}`);
    lines.push(`  ${quote(idOf(node))} [label=${quote([node.op, ...results].join("\n"))}];`);
  }
  for (const node of order)
    for (const value of node.operands)
      if (!inline.has(value.node)) lines.push(`  ${quote(idOf(value.node))} -> ${quote(idOf(node))};`);
  graph.outputs.forEach(({ name, value }, i) => {
    lines.push(`  ${quote(`=${i}`)} [label=${quote(name)}, shape=plaintext];`);
    lines.push(`  ${quote(idOf(value.node))} -> ${quote(`=${i}`)};`);
  });
  return `${[...lines, "}"].join("\n")}\n`;
}

/** A DOT string: quotes and backslashes escaped, lines broken by `\n`, control characters as spaces. */
const quote = (text: string): string =>
  `"${text
    .replace(/[\\"]/g, "\\$&")
    .replaceAll("\n", "\\n")
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, " ")}"`;
