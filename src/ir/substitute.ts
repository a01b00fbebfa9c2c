import { type Arena, graphOf, opDef } from "./arena.ts";
import type { AttrKind, AttrValue } from "./attrs.ts";
import { type Dim, substitute } from "./dim.ts";
import type { DType } from "./dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";
import { castTensor, cutTensor, type HostTensor } from "./tensor.ts";

/** How each kind of attribute changes when a graph is copied; kinds left out stay as they are. */
type AttrMap = { readonly [K in AttrKind]?: (value: never, node: Node, name: string) => AttrValue };

/** The graph with some symbols replaced, everywhere: in inputs, attributes and subgraphs. */
export function substituteDims(arena: Arena, graph: Graph, bindings: ReadonlyMap<string, Dim>): Graph {
  if (bindings.size === 0) return graph;
  return mapAttrs(arena, graph, {
    dim: (value: Dim) => substitute(value, bindings),
    dims: (value: readonly Dim[]) => value.map((dim) => substitute(dim, bindings)),
  });
}

/** The graph computing in `to` wherever it computed in `from`: inputs, parameters, constants and casts alike. */
export function substituteDType(arena: Arena, graph: Graph, from: DType, to: DType): Graph {
  return mapAttrs(arena, graph, {
    dtype: (value: DType) => (value === from ? to : value),
    tensor: (value: HostTensor) => (value.dtype === from ? castTensor(value, to) : value),
  });
}

/**
 * The graph with another size wherever a dimension is just this number; constants lose what lies beyond. Throws what
 * inference throws where sizes no longer fit together.
 */
export const substituteSize = (arena: Arena, graph: Graph, from: number, to: number): Graph => {
  const resized = (dim: Dim): Dim => (dim === from ? to : dim);
  return mapAttrs(arena, graph, {
    dim: resized,
    dims: (value: readonly Dim[]) => value.map(resized),
    tensor: (value: HostTensor) =>
      cutTensor(
        value,
        value.dims.map((dim) => (dim === from ? to : dim)),
      ),
  });
};

function mapAttrs(arena: Arena, graph: Graph, maps: AttrMap): Graph {
  const mapped = new Map<Value, Value>();
  const mapNode = (node: Node) => {
    const specs = opDef(node.op).attrs;
    const attrs = Object.fromEntries(
      Array.from(node.attrs, ([name, value]) => {
        const { kind } = specs[name]!;
        if (kind === "graph") return [name, mapAttrs(arena, value as Graph, maps)];
        const map = maps[kind];
        return [name, map ? map(value as never, node, name) : value];
      }),
    );
    const copy = arena.node(
      node.op,
      node.operands.map((value) => mapped.get(value)!),
      attrs,
    );
    node.results.forEach((value, i) => {
      const result = copy.results[i]!;
      arena.inherit(value, result);
      mapped.set(value, result);
    });
  };
  for (const input of graph.inputs) mapNode(input.node);
  for (const node of nodesOf(graph)) if (!mapped.has(node.results[0]!)) mapNode(node);
  return graphOf(
    graph.name,
    graph.inputs.map((value) => mapped.get(value)!),
    graph.outputs.map(({ name, value }) => [name, mapped.get(value)!]),
  );
}
