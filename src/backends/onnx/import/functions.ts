import { fail } from "../../../ir/diagnostics.ts";
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxModel, OnnxNode } from "../schema.ts";

const callLimit = 1_000_000;
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
 * name in front. Throws QKV408 for functions that call themselves, QKV407 for attributes a call leaves out.
 */
export function inlineFunctions(model: OnnxModel): Inlined {
  const functions = new Map((model.functions ?? []).map((fn) => [key(fn.domain, fn.name, fn.overload), fn]));
  const versions = new Map<OnnxNode, Versions>();
  let calls = 0;

  const inGraph = (graph: OnnxGraph, depth: number, of: Versions | undefined): OnnxGraph => ({
    ...graph,
    nodes: graph.nodes.flatMap((node) => inNode(node, depth, of)),
  });
  const inNode = (node: OnnxNode, depth: number, of: Versions | undefined): readonly OnnxNode[] => {
    const fn = functions.get(key(node.domain, node.opType, node.overload));
    if (fn) return call(fn, node, depth);
    const attributes = new Map([...node.attributes].map(([name, value]) => [name, inAttribute(value, depth, of)]));
    const copy = { ...node, attributes };
    if (of) versions.set(copy, of);
    return [copy];
  };
  const inAttribute = (attribute: OnnxAttribute, depth: number, of: Versions | undefined): OnnxAttribute => {
    if (attribute.kind === "graph") return { kind: "graph", value: inGraph(attribute.value, depth, of) };
    if (attribute.kind === "graphs")
      return { kind: "graphs", value: attribute.value.map((graph) => inGraph(graph, depth, of)) };
    return attribute;
  };
  const call = (fn: OnnxFunction, node: OnnxNode, depth: number): readonly OnnxNode[] => {
    if (depth >= depthLimit) fail("QKV408", `the function "${fn.name}" calls itself, or calls go ${depthLimit} deep`);
    if (++calls > callLimit) fail("QKV409", `functions are called more than ${callLimit} times`);
    const bound = bindCall(fn, node, `${node.outputs.find((name) => name !== "") ?? fn.name}/${calls}/`);
    return bound.flatMap((inner) => inNode(inner, depth + 1, versionsOf(fn.opsetImports)));
  };
  return { graph: inGraph(model.graph, 0, undefined), versions };
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

/** The graphs a node holds. */
export const graphsOf = ({ attributes }: OnnxNode): readonly OnnxGraph[] =>
  [...attributes.values()].flatMap(({ kind, value }) => (kind === "graph" ? [value] : kind === "graphs" ? value : []));
