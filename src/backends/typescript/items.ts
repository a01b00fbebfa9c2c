import { opDef } from "../../ir/arena.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import type { OpName } from "../../ir/ops/index.ts";
import { type Code, valuesRead } from "./code.ts";
import { paramsWithin } from "./control.ts";
import { type IdiomContext, recognise } from "./idioms.ts";
import { anyOp, operations, tableCode } from "./operations.ts";

/** One call of the author's: what it makes and how it is written. */
export interface Item {
  /** The node whose results it makes. */
  readonly node: Node;
  readonly code: Code;
  /** The parameters it declares. */
  readonly params: readonly Node[];
}

/** How often each value is needed; parameters of graphs within the graph are needed by the node that holds them. */
export function countUses(graph: Graph): ReadonlyMap<Value, number> {
  const counts = new Map<Value, number>();
  const need = (value: Value) => void counts.set(value, (counts.get(value) ?? 0) + 1);
  for (const node of nodesOf(graph)) {
    node.operands.forEach(need);
    for (const value of node.attrs.values())
      if (opDef(node.op).traits.includes("control") && isGraph(value)) paramsWithin(value).forEach(need);
  }
  for (const { value } of graph.outputs) need(value);
  return counts;
}

const isGraph = (value: unknown): value is Graph => typeof value === "object" && value !== null && "outputs" in value;

/** Constants that nothing but formulas read. */
function onlyTables(graph: Graph): ReadonlySet<Node> {
  const tables = new Set<Node>();
  const others = new Set(graph.outputs.map(({ value }) => value.node));
  for (const { operands, attrs } of nodesOf(graph)) {
    const from = operands.length - Number(attrs.get("tables") ?? 0);
    operands.forEach(({ node }, i) => (i < from ? others : tables).add(node));
  }
  return new Set([...tables].filter((node) => !others.has(node)));
}

/**
 * The calls that make a graph's outputs, operands first. Inputs are not among them, nor values `given` from outside, nor
 * what is written in place.
 */
export function itemsOf(
  graph: Graph,
  nameOf: IdiomContext["nameOf"],
  given: ReadonlyMap<Value, unknown> = new Map(),
): readonly Item[] {
  const counts = countUses(graph);
  const usesOf = (value: Value) => (given.has(value) ? Number.POSITIVE_INFINITY : (counts.get(value) ?? 0));
  const cx: IdiomContext = { usesOf, nameOf };
  const tables = onlyTables(graph);
  const needed = new Set(graph.outputs.map(({ value }) => value));
  const items: Item[] = [];
  const own = new Set(nodesOf(graph));
  // Parameters that only graphs within it reach are declared here too.
  const inner = [...counts.keys()].map(({ node }) => node).filter((node) => node.op === "param" && !own.has(node));
  for (const node of [...inner, ...own].toReversed()) {
    if (node.op === "input" || given.has(node.results[0]!) || !node.results.some((value) => needed.has(value)))
      continue;
    const idiom = recognise(node, cx);
    const code =
      idiom?.code ?? (tables.has(node) ? tableCode(node) : undefined) ?? (operations[node.op as OpName] ?? anyOp)(node);
    for (const value of valuesRead(code)) needed.add(value);
    const params = [...(idiom?.absorbed ?? []), node].filter(({ op }) => op === "param");
    items.push({ node, code, params });
  }
  return items.reverse();
}
