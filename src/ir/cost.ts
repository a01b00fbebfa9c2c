import { attrRecord, opDef } from "./arena.ts";
import { foldableNodes } from "./constness.ts";
import { decompositionOf } from "./decomposition.ts";
import { type Dim, max, sum } from "./dim.ts";
import type { Graph, Node } from "./graph.ts";
import { nodesOf, type Value } from "./graph.ts";
import { bytesOf, volume } from "./types.ts";

/** What a graph costs to run once, as formulas in its symbols. */
export interface GraphCost {
  /** Floating-point operations; a multiply-add is two. What is computed ahead of time is free. */
  readonly flops: Dim;
  /** Bytes read and written by the nodes that run, each operand and result once per node. */
  readonly bytes: Dim;
  /** Nodes that run: neither leaves nor computed ahead of time. */
  readonly nodes: number;
  /** Trained numbers. */
  readonly params: number;
  readonly paramBytes: number;
  /** Bytes the file must hold once everything foldable is folded: foldable values that running nodes or outputs read. */
  readonly heldBytes: number;
}

export interface CostOptions {
  /** Nodes computed ahead of time; `foldableNodes(graph)` where not given. */
  readonly foldable?: ReadonlySet<Node>;
}

/** The cost of `graph`. Of the branches of an `if`, the dearer one counts. */
export function costOf(graph: Graph, options: CostOptions = {}): GraphCost {
  const foldable = options.foldable ?? foldableNodes(graph);
  const order = nodesOf(graph);
  const running = order.filter((node) => !foldable.has(node) && !isLeaf(node));
  const held = new Set<Value>();
  const hold = (value: Value) => {
    if (foldable.has(value.node)) held.add(value);
  };
  for (const { operands } of running) operands.forEach(hold);
  for (const { value } of graph.outputs) hold(value);
  const params = order.filter((node) => node.op === "param").map((node) => node.results[0]!.type);
  return {
    flops: sum(running.map(flopsOf)),
    bytes: sum(running.map(trafficOf)),
    nodes: running.length,
    params: total(params.map(volume)),
    paramBytes: total(params.map(bytesOf)),
    heldBytes: total([...held].map(({ type }) => bytesOf(type))),
  };
}

const isLeaf = (node: Node) => opDef(node.op).traits.includes("leaf");
const total = (dims: readonly Dim[]): number => dims.reduce<number>((all, dim) => all + Number(dim), 0);
const known = new WeakMap<Node, Dim>();

/**
 * Floating-point operations of one node: its record's formula; without one, that of its decomposition, or one for
 * each element of the result where it is elementwise, or none.
 */
export function flopsOf(node: Node): Dim {
  let flops = known.get(node);
  if (flops === undefined) known.set(node, (flops = computeFlops(node)));
  return flops;
}

function computeFlops(node: Node): Dim {
  const def = opDef(node.op);
  if (def.cost)
    return def.cost({
      types: node.operands.map(({ type }) => type),
      results: node.results.map(({ type }) => type),
      attrs: attrRecord(node),
    });
  const meaning = decompositionOf(node);
  if (meaning) return costOf(meaning).flops;
  if (def.traits.includes("elementwise")) return sum(node.results.map(({ type }) => volume(type)));
  return subgraphsOf(node)
    .map((graph) => costOf(graph).flops)
    .reduce<Dim>((dearest, flops) => max(dearest, flops), 0);
}

/** The graphs a node holds, in the order of its attributes. */
export function subgraphsOf(node: Node): readonly Graph[] {
  const { attrs } = opDef(node.op);
  const graphs: Graph[] = [];
  for (const [name, value] of node.attrs) if (attrs[name]!.kind === "graph") graphs.push(value as Graph);
  return graphs;
}

/** Bytes one node reads and writes: its operands and results, or the dearer of its graphs. Leaves and reshape move none. */
export function trafficOf(node: Node): Dim {
  let traffic = knownTraffic.get(node);
  if (traffic === undefined) knownTraffic.set(node, (traffic = computeTraffic(node)));
  return traffic;
}

const knownTraffic = new WeakMap<Node, Dim>();

function computeTraffic(node: Node): Dim {
  if (isLeaf(node) || node.op === "reshape") return 0;
  const graphs = subgraphsOf(node);
  if (graphs.length > 0)
    return graphs.map((graph) => costOf(graph).bytes).reduce<Dim>((dearest, bytes) => max(dearest, bytes), 0);
  return sum([...new Set(node.operands), ...node.results].map(({ type }) => bytesOf(type)));
}
