import { opDef } from "./arena.ts";
import { type AttrKind, type AttrValue, attrKey } from "./attrs.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";
import { hashText, tensorDigest } from "./hash.ts";
import { formulaText } from "./index-expr/text.ts";
import type { IndexExpr } from "./index-expr/types.ts";
import { sameBytes } from "./literals.ts";
import type { HostTensor } from "./tensor.ts";
import { sameType, showType } from "./types.ts";

/**
 * Whether two graphs, of one arena or of two, are the same computation written the same way: equal names of graph,
 * inputs and outputs, equal nodes in equal order, constants equal bit for bit. Hints do not count.
 */
export function sameGraph(a: Graph, b: Graph): boolean {
  if (a === b || proven.get(a) === b) return true;
  const same = compare(a, b);
  if (same) proven.set(a, b);
  return same;
}

/** The last graph each was found equal to, so that a graph held in many places is compared once. */
const proven = new WeakMap<Graph, Graph>();

function compare(a: Graph, b: Graph): boolean {
  if (a.name !== b.name || a.inputs.length !== b.inputs.length || a.outputs.length !== b.outputs.length) return false;
  const twins = new Map<Node, Node>();
  const paired = (x: Value, y: Value) => x.index === y.index && twins.get(x.node) === y.node;
  const [left, right] = [allNodes(a), allNodes(b)];
  const nodesAgree = left.length === right.length && left.every((node, i) => pairUp(node, right[i]!, twins, paired));
  return (
    nodesAgree &&
    a.inputs.every((value, i) => paired(value, b.inputs[i]!)) &&
    a.outputs.every(({ name, value }, i) => name === b.outputs[i]!.name && paired(value, b.outputs[i]!.value))
  );
}

/** Nodes of the inputs, used or not, then all others in topological order: equal graphs list them equally. */
const allNodes = (graph: Graph): readonly Node[] => [
  ...new Set([...graph.inputs.map(({ node }) => node), ...nodesOf(graph)]),
];

function pairUp(x: Node, y: Node, twins: Map<Node, Node>, paired: (x: Value, y: Value) => boolean): boolean {
  twins.set(x, y);
  if (x.op !== y.op || x.operands.length !== y.operands.length || x.results.length !== y.results.length) return false;
  if (!x.results.every(({ type }, i) => sameType(type, y.results[i]!.type))) return false;
  if (!x.operands.every((value, i) => paired(value, y.operands[i]!))) return false;
  const { attrs } = opDef(x.op);
  return [...x.attrs].every(([name, value]) => sameAttr(attrs[name]!.kind, value, y.attrs.get(name)!));
}

function sameAttr(kind: AttrKind, x: AttrValue, y: AttrValue): boolean {
  if (kind === "tensor") return x === y || sameBytes(x as HostTensor, y as HostTensor);
  if (kind === "graph") return sameGraph(x as Graph, y as Graph);
  return attrKey(kind, x) === attrKey(kind, y);
}

/**
 * 64-bit digest of all that `sameGraph` compares, as 16 hexadecimal digits. Stable across arenas, processes and
 * machines: a key for caches and reports.
 */
export function graphDigest(graph: Graph): string {
  let digest = digests.get(graph);
  if (digest === undefined) digests.set(graph, (digest = hashText(canonicalText(graph))));
  return digest;
}

const digests = new WeakMap<Graph, string>();

function canonicalText(graph: Graph): string {
  const numbers = new Map<Node, number>();
  const number = ({ node, index }: Value) => `${numbers.get(node)}.${index}`;
  const lines = [JSON.stringify(graph.name)];
  for (const node of allNodes(graph)) {
    numbers.set(node, numbers.size);
    const { attrs } = opDef(node.op);
    const texts = [...node.attrs].map(([name, value]) => `${name}=${attrDigest(attrs[name]!.kind, value)}`);
    const types = node.results.map(({ type }) => showType(type));
    lines.push(`${node.op}(${node.operands.map(number).join()}){${texts.join()}}:${types.join()}`);
  }
  lines.push(graph.inputs.map(number).join());
  lines.push(graph.outputs.map(({ name, value }) => `${JSON.stringify(name)}=${number(value)}`).join());
  return lines.join("\n");
}

function attrDigest(kind: AttrKind, value: AttrValue): string {
  if (kind === "tensor") return tensorDigest(value as HostTensor);
  if (kind === "formula") return JSON.stringify(formulaText(value as IndexExpr));
  return kind === "graph" ? graphDigest(value as Graph) : attrKey(kind, value);
}
