import { attrRecord, opDef } from "./arena.ts";
import type { AttrSpecs } from "./attrs.ts";
import { foldableNodes } from "./constness.ts";
import { decompositionOf } from "./decomposition.ts";
import { type Dim, max, mul, substitute, sum, symbolsOf } from "./dim.ts";
import type { Graph, Node } from "./graph.ts";
import { nodesOf, type Value } from "./graph.ts";
import type { CostContext } from "./op-def.ts";
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

/**
 * The cost of `graph`. Of the branches of an `if`, the expected one counts, else the dearer. Sizes known only at run time
 * count as the most they can be, and as `unlimitedSize` where nothing limits them.
 */
export function costOf(graph: Graph, options: CostOptions = {}): GraphCost {
  const foldable = options.foldable ?? foldableNodes(graph);
  const order = nodesOf(graph);
  const running = order.filter((node) => !foldable.has(node) && !isLeaf(node));
  const limits = limitsOf(graph);
  const held = new Set<Value>();
  const hold = (value: Value) => {
    if (foldable.has(value.node)) held.add(value);
  };
  for (const { operands } of running) operands.forEach(hold);
  for (const { value } of graph.outputs) hold(value);
  const params = everyNode(graph)
    .filter((node) => node.op === "param")
    .map((node) => node.results[0]!.type);
  return {
    flops: substitute(sum(running.map(flopsOf)), limits),
    bytes: substitute(sum(running.map(trafficOf)), limits),
    nodes: running.length,
    params: total(params.map(volume)),
    paramBytes: total(params.map(bytesOf)),
    heldBytes: total([...held].map(({ type }) => bytesOf(type))),
  };
}

/** What a size counts as that only a run tells and nothing limits. */
const unlimitedSize = 128;

/** The most that symbols can be which a graph's nodes bind as they run, in the symbols of its inputs. */
function limitsOf(graph: Graph): ReadonlyMap<string, Dim> {
  const known = new Set(graph.inputs.flatMap(({ type }) => type.shape.flatMap(symbolsOf)));
  const binders = everyNode(graph).filter(({ op }) => opDef(op).traits.includes("binds"));
  const limits = new Map<string, Dim>();
  for (const node of binders)
    for (const [name, limit] of opDef(node.op).limits?.(costContext(node)) ?? [])
      if (!known.has(name)) limits.set(name, max(limits.get(name) ?? 0, limit));
  const names = binders.flatMap(({ results }) => results.flatMap(({ type }) => type.shape.flatMap(symbolsOf)));
  const unlimited = new Map(names.filter((name) => !known.has(name)).map((name) => [name, unlimitedSize]));
  for (const name of unlimited.keys()) if (!limits.has(name)) limits.set(name, unlimitedSize);
  const open = (dim: Dim) => symbolsOf(dim).some((name) => limits.has(name));
  for (let round = 0; round < limits.size && [...limits.values()].some(open); round++)
    for (const [name, limit] of limits) limits.set(name, substitute(limit, limits));
  return new Map(Array.from(limits, ([name, limit]) => [name, substitute(limit, unlimited)]));
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
  if (def.cost) return def.cost(costContext(node));
  const meaning = decompositionOf(node);
  if (meaning) return costOf(meaning).flops;
  if (def.traits.includes("elementwise")) return sum(node.results.map(({ type }) => volume(type)));
  const graphs = likelyGraphsOf(node).map((graph) => costOf(graph).flops);
  return mul(repeatsOf(node), dearest(graphs));
}

const dearest = (costs: readonly Dim[]): Dim => costs.reduce<Dim>((most, cost) => max(most, cost), 0);

/** How many times the graphs a node holds run. */
const repeatsOf = (node: Node): Dim => opDef(node.op).repeats?.(costContext(node)) ?? 1;

/** What the formulas of a node's record are given. */
export const costContext = (node: Node): CostContext<AttrSpecs> => ({
  types: node.operands.map(({ type }) => type),
  results: node.results.map(({ type }) => type),
  attrs: attrRecord(node),
});

/** The nodes of a graph and of all graphs within it, each once. */
export function everyNode(graph: Graph): readonly Node[] {
  const found = new Set<Node>();
  const open = [graph];
  for (let next = open.pop(); next; next = open.pop())
    for (const node of nodesOf(next)) {
      if (found.has(node)) continue;
      found.add(node);
      open.push(...subgraphsOf(node));
    }
  return [...found];
}

export const holdsGraphs = (node: Node): boolean => opDef(node.op).traits.includes("control");

/** The graphs a node holds, in the order of its attributes. */
export function subgraphsOf(node: Node): readonly Graph[] {
  if (!holdsGraphs(node)) return [];
  const { attrs } = opDef(node.op);
  const graphs: Graph[] = [];
  for (const [name, value] of node.attrs) if (attrs[name]!.kind === "graph") graphs.push(value as Graph);
  return graphs;
}

/** The graphs of a node one of which runs: the expected one alone where one is. */
function likelyGraphsOf(node: Node): readonly Graph[] {
  const expected = node.attrs.get("expected") as string | undefined;
  return expected ? [node.attrs.get(expected) as Graph] : subgraphsOf(node);
}

/** Bytes one node reads and writes: its operands and results, or those of the dearer of its graphs, each time it runs. Leaves and reshape move none. */
export function trafficOf(node: Node): Dim {
  let traffic = knownTraffic.get(node);
  if (traffic === undefined) knownTraffic.set(node, (traffic = computeTraffic(node)));
  return traffic;
}

const knownTraffic = new WeakMap<Node, Dim>();

function computeTraffic(node: Node): Dim {
  if (isLeaf(node) || node.op === "reshape") return 0;
  const graphs = likelyGraphsOf(node);
  if (graphs.length > 0) return mul(repeatsOf(node), dearest(graphs.map((graph) => costOf(graph).bytes)));
  return sum([...new Set(node.operands), ...node.results].map(({ type }) => bytesOf(type)));
}
