import { type Graph, type Hint, type Node, nodesOf, type Value } from "./graph.ts";
import { jsonText } from "./printable.ts";

/** Where what people call values is looked up. */
export interface HintSource {
  hintOf(value: Value): Hint;
}

const plainName = /^[A-Za-z_][A-Za-z0-9_.]*$/;

/** A name after its sigil: bare where it is an identifier, else as a JSON string. */
export const showName = (name: string): string => (plainName.test(name) ? name : jsonText(name));

/**
 * A name for each value of one graph that a line defines, its subgraphs left out. `inline` are the nodes written in
 * place, which need none. Inputs have theirs; then hints, parameters and outputs
 * are heard, first come first served; the rest are called after their op and counted per op. A value that the graph
 * `around` defines too is called as there, so that both names read back are one.
 */
export function nameValues(
  graph: Graph,
  hints: HintSource | undefined,
  inline: ReadonlySet<Node>,
  around: ReadonlyMap<Value, string> = new Map(),
): ReadonlyMap<Value, string> {
  const names = new Map<Value, string>();
  const unique = uniqueNames();
  const order = nodesOf(graph).filter((node) => !inline.has(node));
  for (const input of graph.inputs) if (!names.has(input)) names.set(input, unique(attrName(input.node) ?? "input"));
  const give = (value: Value, name: string | undefined) => {
    if (name !== undefined && name !== "" && !names.has(value)) names.set(value, unique(name));
  };
  for (const node of order)
    for (const value of node.results) give(value, hints?.hintOf(value).name ?? around.get(value));
  for (const { name, value } of graph.outputs) give(value, name);
  for (const node of order) for (const value of node.results) give(value, attrName(node) ?? node.op);
  return names;
}

const attrName = (node: Node): string | undefined => {
  const name = node.attrs.get("name");
  return typeof name === "string" ? name : undefined;
};

/** Answers names never answered before: the name wanted, or with the next free number of that stem. */
function uniqueNames(): (wanted: string) => string {
  const taken = new Set<string>();
  const counters = new Map<string, number>();
  return (wanted) => {
    let name = wanted;
    let count = counters.get(wanted) ?? 0;
    while (taken.has(name)) name = `${wanted}_${++count}`;
    counters.set(wanted, count);
    taken.add(name);
    return name;
  };
}
