import type { Arena } from "../../ir/arena.ts";
import { attrsOf } from "../../ir/arena.ts";
import { everyNode, holdsGraphs } from "../../ir/cost.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import { elementTexts } from "../../ir/literals.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { substitute, withBranches } from "../../passes/rewrite/substitute.ts";

/** Elements a constant may have to stand in the file. What tables hold is asked when masks and scores are read. */
const mostElements = 32;
const mostOfTable = 65_536;

/** A graph whose large constants are parameters, and their tensors by the parameters' names. */
export interface Stored {
  readonly graph: Graph;
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** Moves constants that are too large for a source file, or have no text, among the weights. */
export function storeConstants(graph: Graph, arena: Arena): Stored {
  const tables = tablesOf(graph);
  const taken = new Set(everyNode(graph).map(({ attrs }) => attrs.get("name")));
  const tensors = new Map<string, HostTensor>();
  const replaced = new Map<Value, Value>();
  for (const node of everyNode(graph)) {
    if (node.op !== "constant") continue;
    const { value } = attrsOf(node, "constant");
    if (staysInSource(value, tables.has(node))) continue;
    let name = `constants.${tensors.size}`;
    for (let i = 1; taken.has(name); i++) name = `constants.${tensors.size}_${i}`;
    tensors.set(name, value);
    replaced.set(node.results[0]!, arena.build.param({ name, dtype: value.dtype, shape: value.dims }));
  }
  return { graph: replaceAll(graph, replaced, arena), tensors };
}

/** Constants that formulas read. */
const tablesOf = (graph: Graph): ReadonlySet<Node> =>
  new Set(
    everyNode(graph).flatMap((node) =>
      node.op === "attention" || node.op === "packedAttention" ? tablesRead(node) : [],
    ),
  );

const tablesRead = ({ operands, attrs }: Node): readonly Node[] =>
  operands.slice(operands.length - Number(attrs.get("tables"))).map(({ node }) => node);

function staysInSource(tensor: HostTensor, isTable: boolean): boolean {
  const { length } = tensor.data;
  if (length === 0) return true;
  if (length > (isTable ? mostOfTable : mostElements)) return false;
  const isExact = tensor.dtype !== "i64" || tensor.data.every((value) => Number.isSafeInteger(Number(value)));
  return isExact && elementTexts(tensor) !== undefined;
}

/** The graph with values replaced, in the graphs it holds too. */
export function replaceAll(graph: Graph, replaced: ReadonlyMap<Value, Value>, arena: Arena): Graph {
  const all = new Map(replaced);
  for (const node of nodesOf(graph)) {
    if (!holdsGraphs(node)) continue;
    const other = withBranches(node, arena, (branch) => replaceAll(branch, replaced, arena));
    if (other !== node) node.results.forEach((value, i) => all.set(value, other.results[i]!));
  }
  return substitute(graph, all, arena);
}
