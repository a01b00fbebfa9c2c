import { opDef } from "./arena.ts";
import { subgraphsOf } from "./cost.ts";
import { coefficients, type Dim, isStatic, symbolsOf } from "./dim.ts";
import { type Graph, type Node, nodesOf } from "./graph.ts";

/** Whether the sizes of a node's results are known only once it ran: they bind symbols no input determines. */
export const bindsDims = ({ op }: Pick<Node, "op">): boolean => opDef(op).traits.includes("binds");

const shapesOf = ({ results }: Node): readonly Dim[] => results.flatMap(({ type }) => type.shape);

/** Symbols in the types of a node's results: what a node that binds may bind. */
export const symbolsBound = (node: Node): readonly string[] => shapesOf(node).flatMap(symbolsOf);

/** Adds to `bound` the symbols that follow from the sizes of `dims`: one linear equation with one unknown at a time. */
export function bindSymbols(dims: readonly Dim[], bound: Set<string>): void {
  const open = new Set(dims.filter((dim) => !isStatic(dim)));
  for (let before = -1; bound.size !== before; ) {
    before = bound.size;
    for (const dim of open) {
      const [name, ...others] = symbolsOf(dim).filter((symbol) => !bound.has(symbol));
      if (name !== undefined && others.length === 0 && coefficients(dim, name)?.length === 2) bound.add(name);
    }
  }
}

const needed = new WeakMap<Node, ReadonlySet<string>>();

/**
 * Symbols whose sizes a node asks for: those of its types and attributes, and those its graphs take from around them.
 * What a node binds is in its results; it needs none of those.
 */
export function symbolsNeeded(node: Node): ReadonlySet<string> {
  let names = needed.get(node);
  if (!names) needed.set(node, (names = findNeeded(node)));
  return names;
}

function findNeeded(node: Node): ReadonlySet<string> {
  const names = new Set<string>(subgraphsOf(node).flatMap((graph) => [...symbolsFromAround(graph)]));
  if (bindsDims(node)) return names;
  const { attrs } = opDef(node.op);
  const dims = [...shapesOf(node)];
  for (const [name, value] of node.attrs) {
    const { kind } = attrs[name]!;
    if (kind === "dim") dims.push(value as Dim);
    else if (kind === "dims") dims.push(...(value as readonly Dim[]));
  }
  for (const dim of dims) for (const name of symbolsOf(dim)) names.add(name);
  return names;
}

const around = new WeakMap<Graph, ReadonlySet<string>>();

/** Symbols a graph uses that none of its nodes bind before it needs them: its inputs do, or what is around it. */
export function symbolsFromAround(graph: Graph): ReadonlySet<string> {
  let names = around.get(graph);
  if (names) return names;
  const order = nodesOf(graph);
  const ownOf = (node: Node) => symbolsBound(node).filter((name) => !symbolsNeeded(node).has(name));
  const own = new Set(order.filter(bindsDims).flatMap(ownOf));
  names = new Set(order.flatMap((node) => [...symbolsNeeded(node)]).filter((name) => !own.has(name)));
  around.set(graph, names);
  return names;
}

/** Nodes in an order in which symbols are bound before they are needed. */
export interface BindingOrder {
  readonly order: readonly Node[];
  /** Nodes that need a symbol nothing binds, and what depends on them. */
  readonly stuck: readonly Node[];
  readonly bound: ReadonlySet<string>;
}

/**
 * Puts nodes, which come operands first, behind those that bind the symbols they need. `bound` are the symbols known
 * before. The order stays as it is where it will do.
 */
export function inBindingOrder(nodes: readonly Node[], bound: Iterable<string>): BindingOrder {
  const known = new Set(bound);
  const order: Node[] = [];
  const waiting = new Set(nodes);
  for (let before = -1; waiting.size !== before; ) {
    before = waiting.size;
    for (const node of waiting) {
      if (node.operands.some((operand) => waiting.has(operand.node))) continue;
      if (![...symbolsNeeded(node)].every((name) => known.has(name))) continue;
      if (bindsDims(node)) bindSymbols(shapesOf(node), known);
      waiting.delete(node);
      order.push(node);
    }
  }
  return { order, stuck: [...waiting], bound: known };
}
