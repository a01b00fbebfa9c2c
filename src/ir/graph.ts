import type { AttrValue } from "./attrs.ts";
import type { SourceLocation } from "./diagnostics.ts";
import type { TensorType } from "./types.ts";

/** One result of a node. Values are compared by identity. */
export class Value {
  readonly node: Node;
  readonly index: number;
  readonly type: TensorType;

  constructor(node: Node, index: number, type: TensorType) {
    this.node = node;
    this.index = index;
    this.type = type;
  }
}

/**
 * An operation applied to values. Nodes are immutable and interned in their arena: equal op, operands and attributes
 * are one object, so common subexpressions never exist twice. Created by `Arena` only.
 */
export class Node {
  /** Creation order within the arena; operands always have smaller ids. */
  readonly id: number;
  readonly op: string;
  readonly operands: readonly Value[];
  readonly attrs: ReadonlyMap<string, AttrValue>;
  readonly results: readonly Value[];

  constructor(
    id: number,
    op: string,
    operands: readonly Value[],
    attrs: ReadonlyMap<string, AttrValue>,
    types: readonly TensorType[],
  ) {
    this.id = id;
    this.op = op;
    this.operands = operands;
    this.attrs = attrs;
    this.results = types.map((type, index) => new Value(this, index, type));
  }
}

export interface Output {
  readonly name: string;
  readonly value: Value;
}

/**
 * A computation: what goes in (values of `input` nodes) and what comes out. Everything else is reachable from the
 * outputs; what is not reachable does not exist. Subgraphs of control flow are closed: they reach only their own
 * inputs and leaves.
 */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Output[];
}

/** What a person calls a value and where they wrote it. Never part of a node's identity. */
export interface Hint {
  readonly name?: string;
  readonly location?: SourceLocation;
}

/** Every node the outputs need, operands first. Inputs that nothing uses are not among them. Iterative: depth is free. */
export function topological(roots: Iterable<Value>): readonly Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  const visit = (node: Node) => {
    if (seen.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0 });
  };
  for (const root of roots) {
    visit(root.node);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const operand = top.node.operands[top.next++];
      if (operand) visit(operand.node);
      else order.push(stack.pop()!.node);
    }
  }
  return order;
}

/** Graphs never change, so what is derived from one is worked out once. */
function once<T>(derive: (graph: Graph) => T): (graph: Graph) => T {
  const known = new WeakMap<Graph, { readonly value: T }>();
  return (graph) => {
    let entry = known.get(graph);
    if (!entry) known.set(graph, (entry = { value: derive(graph) }));
    return entry.value;
  };
}

/** Every node of a graph, operands first. */
export const nodesOf: (graph: Graph) => readonly Node[] = once((graph) =>
  topological(graph.outputs.map(({ value }) => value)),
);

/** A use of a value: operand `index` of `node`. Graph outputs are listed apart. */
export interface Uses {
  readonly users: ReadonlyMap<Value, readonly { readonly node: Node; readonly index: number }[]>;
  readonly outputs: ReadonlySet<Value>;
}

/** Who uses what, within a graph. */
export const usesOf: (graph: Graph) => Uses = once((graph) => {
  const users = new Map<Value, { node: Node; index: number }[]>();
  for (const node of nodesOf(graph))
    node.operands.forEach((value, index) => {
      const list = users.get(value);
      if (list) list.push({ node, index });
      else users.set(value, [{ node, index }]);
    });
  return { users, outputs: new Set(graph.outputs.map(({ value }) => value)) };
});

/** How many places need a value, graph outputs included. */
export const useCount = (uses: Uses, value: Value): number =>
  (uses.users.get(value)?.length ?? 0) + (uses.outputs.has(value) ? 1 : 0);
