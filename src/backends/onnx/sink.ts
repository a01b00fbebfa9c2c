import { graphsOf, mapGraphs, type PendingGraph, type PendingNode, type Ref } from "./lower/ref.ts";

/**
 * Moves dimensions that are needed in one branch of an `If` alone, or of each of several, into these branches, so that the
 * others need not wait for them. Dimensions are computed in the outermost graph, each once; they are the nodes that serve
 * no value.
 */
export function sinkDimensions(nodes: readonly PendingNode[], outputs: ReadonlySet<Ref>): readonly PendingNode[] {
  if (!nodes.some(({ opType }) => opType === "If")) return nodes;
  const places = new Map<Ref, Set<PendingGraph | undefined>>();
  const note = (ref: Ref | undefined, place: PendingGraph | undefined) => {
    if (ref) places.set(ref, (places.get(ref) ?? new Set()).add(place));
  };
  for (const ref of outputs) note(ref, undefined);
  const choices = new Map(nodes.flatMap((node) => graphsOf(node).map((graph) => [graph, node] as const)));
  const sunk = new Map<PendingGraph, PendingNode[]>();
  const kept: PendingNode[] = [];
  // Users come after what they use: backwards, the places of all users are known.
  for (const node of nodes.toReversed()) {
    const users = [...new Set(node.outputs.flatMap((ref) => [...((ref && places.get(ref)) ?? [])]))];
    const branches = users.filter((place) => place !== undefined);
    const apart = new Set(branches.map((place) => choices.get(place))).size === users.length;
    const sinks = node.source === undefined && branches.length > 0 && apart;
    for (const place of sinks ? branches : []) sunk.set(place, [node, ...(sunk.get(place) ?? [])]);
    if (!sinks) kept.push(node);
    for (const ref of node.inputs) for (const place of sinks ? branches : [undefined]) note(ref, place);
    for (const graph of graphsOf(node))
      for (const ref of readIn(graph)) note(ref, node.opType === "If" ? graph : undefined);
  }
  const filled = (graph: PendingGraph) => ({ ...graph, nodes: [...(sunk.get(graph) ?? []), ...graph.nodes] });
  return kept.toReversed().map((node) => mapGraphs(node, filled));
}

/** Everything a graph and the graphs within it read. */
function readIn(graph: PendingGraph): readonly Ref[] {
  const read: Ref[] = [];
  const open = [graph];
  for (let next = open.pop(); next; next = open.pop()) {
    for (const node of next.nodes) {
      read.push(...node.inputs.filter((ref) => ref !== undefined));
      open.push(...graphsOf(node));
    }
    read.push(...next.outputs);
  }
  return read;
}
