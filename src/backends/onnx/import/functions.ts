import { fail } from "../../../ir/diagnostics.ts";
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxModel, OnnxNode } from "../schema.ts";

/** Nodes of a model with its functions written out, in all its graphs. */
const nodeLimit = 2_000_000;
const depthLimit = 100;

/** A node and the operator sets its operator is of: those of the model, or of the function it stands in. */
export type Versions = ReadonlyMap<string, number>;

const key = (domain: string, name: string, overload = ""): string => JSON.stringify([domain, name, overload]);
const versionsOf = (imports: OnnxModel["opsetImports"]): Versions =>
  new Map(imports.map(({ domain, version }) => [domain, version]));

export interface Inlined {
  readonly graph: OnnxGraph;
  /** Versions of nodes that are not those of the model. */
  readonly versions: ReadonlyMap<OnnxNode, Versions>;
}

/**
 * The model's graph with every call of one of its functions replaced by the function's nodes. Names within get the call's
 * name in front. Throws QKV408 for functions that call themselves, QKV407 for attributes a call leaves out,
 * QKV409 for more than two million nodes.
 */
export function inlineFunctions(model: OnnxModel): Inlined {
  const functions = new Map((model.functions ?? []).map((fn) => [key(fn.domain, fn.name, fn.overload), fn]));
  const calledBy = (node: OnnxNode) => functions.get(key(node.domain, node.opType, node.overload));
  if (countNodes(model.graph.nodes, calledBy) > nodeLimit)
    fail("QKV409", `there are more than ${nodeLimit} nodes, those of a function counted for each call`);
  const versions = new Map<OnnxNode, Versions>();
  let calls = 0;

  const inGraph = (graph: OnnxGraph, depth: number, of: Versions | undefined): OnnxGraph => ({
    ...graph,
    nodes: graph.nodes.flatMap((node) => inNode(node, depth, of)),
  });
  const inNode = (node: OnnxNode, depth: number, of: Versions | undefined): readonly OnnxNode[] => {
    const fn = calledBy(node);
    if (fn) return call(fn, node, depth);
    const copy = { ...withGraphs(node, (graph) => inGraph(graph, depth, of)) };
    if (of) versions.set(copy, of);
    return [copy];
  };
  const call = (fn: OnnxFunction, node: OnnxNode, depth: number): readonly OnnxNode[] => {
    checkDepth(fn, depth);
    const bound = bindCall(fn, node, `${node.outputs.find((name) => name !== "") ?? fn.name}/${++calls}/`);
    return bound.flatMap((inner) => inNode(inner, depth + 1, versionsOf(fn.opsetImports)));
  };
  return { graph: inGraph(model.graph, 0, undefined), versions };
}

function checkDepth({ name }: OnnxFunction, depth: number): void {
  if (depth >= depthLimit) fail("QKV408", `the function "${name}" calls itself, or calls go ${depthLimit} deep`);
}

/** How many nodes there are with calls written out, a call and those of its function's graphs included. */
function countNodes(nodes: readonly OnnxNode[], calledBy: (node: OnnxNode) => OnnxFunction | undefined): number {
  const counts = new Map<OnnxFunction, number>();
  const inFunction = (fn: OnnxFunction, depth: number): number => {
    checkDepth(fn, depth);
    const count = counts.get(fn) ?? inNodes(fn.nodes, depth + 1);
    counts.set(fn, count);
    return count;
  };
  const inNodes = (list: readonly OnnxNode[], depth: number): number =>
    list.reduce((count, node) => {
      const fn = calledBy(node);
      const held = graphsOf(node).reduce((sum, graph) => sum + inNodes(graph.nodes, depth), 0);
      return count + 1 + held + (fn ? inFunction(fn, depth) : 0);
    }, 0);
  return inNodes(nodes, 0);
}

/** The nodes of a function for one call: its names, and the attributes they refer to, are the call's. */
function bindCall(fn: OnnxFunction, node: OnnxNode, prefix: string): readonly OnnxNode[] {
  const names = new Map<string, string>();
  fn.inputs.forEach((name, i) => {
    names.set(name, node.inputs[i] ?? "");
  });
  const copies: OnnxNode[] = [];
  fn.outputs.forEach((name, i) => {
    const wanted = node.outputs[i] ?? "";
    if (wanted === "") return;
    const passed = names.get(name);
    if (passed !== undefined)
      copies.push({
        opType: "Identity",
        domain: "",
        name: "",
        inputs: [passed],
        outputs: [wanted],
        attributes: new Map(),
      });
    else names.set(name, wanted);
  });
  const given = new Map([...fn.attributeDefaults, ...node.attributes]);
  for (const name of fn.requiredAttributes)
    if (!given.has(name)) fail("QKV407", `a call of "${fn.name}" lacks the attribute "${name}"`);
  const rename = (name: string) => (name === "" ? "" : (names.get(name) ?? prefix + name));
  return [...fn.nodes.map((inner) => renamed(inner, rename, given)), ...copies];
}

type Rename = (name: string) => string;

function renamed(node: OnnxNode, rename: Rename, given: ReadonlyMap<string, OnnxAttribute>): OnnxNode {
  const attributes = new Map<string, OnnxAttribute>();
  for (const [name, attribute] of node.attributes) {
    const value = attribute.kind === "reference" ? given.get(attribute.value) : attribute;
    if (value)
      attributes.set(
        name,
        inGraphs(value, (graph) => renamedGraph(graph, rename, given)),
      );
  }
  return { ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename), attributes };
}

function inGraphs(attribute: OnnxAttribute, change: (graph: OnnxGraph) => OnnxGraph): OnnxAttribute {
  if (attribute.kind === "graph") return { kind: "graph", value: change(attribute.value) };
  return attribute.kind === "graphs" ? { kind: "graphs", value: attribute.value.map(change) } : attribute;
}

function renamedGraph(graph: OnnxGraph, rename: Rename, given: ReadonlyMap<string, OnnxAttribute>): OnnxGraph {
  const info = <T extends { readonly name: string }>(value: T): T => ({ ...value, name: rename(value.name) });
  return {
    ...graph,
    nodes: graph.nodes.map((node) => renamed(node, rename, given)),
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    valueInfo: graph.valueInfo.map(info),
    initializers: graph.initializers.map(info),
  };
}

/** Names a graph uses and does not define: what it reads of the graphs around it. */
export function freeNames(graph: OnnxGraph): ReadonlySet<string> {
  const own = new Set([...graph.inputs, ...graph.initializers].map(({ name }) => name));
  for (const node of graph.nodes) for (const name of node.outputs) own.add(name);
  const used = graph.nodes.flatMap((node) => [
    ...node.inputs,
    ...graphsOf(node).flatMap((inner) => [...freeNames(inner)]),
  ]);
  return new Set([...used, ...graph.outputs.map(({ name }) => name)].filter((name) => name !== "" && !own.has(name)));
}

/** A node with other graphs in place of those it holds. */
export function withGraphs(node: OnnxNode, change: (graph: OnnxGraph) => OnnxGraph): OnnxNode {
  if (graphsOf(node).length === 0) return node;
  return { ...node, attributes: new Map([...node.attributes].map(([name, value]) => [name, inGraphs(value, change)])) };
}

/** The graphs a node holds. */
export const graphsOf = ({ attributes }: OnnxNode): readonly OnnxGraph[] =>
  [...attributes.values()].flatMap(({ kind, value }) => (kind === "graph" ? [value] : kind === "graphs" ? value : []));
