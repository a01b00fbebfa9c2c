import type { Arena } from "../../ir/arena.ts";
import { subgraphsOf } from "../../ir/cost.ts";
import type { Graph, Node, Value } from "../../ir/graph.ts";

/** Gives every result of `to` the name and place of the same result of `from`. */
export function inheritAll(arena: Arena, from: readonly Value[], to: readonly Value[]): void {
  from.forEach((value, i) => {
    if (to[i]) arena.inherit(value, to[i]);
  });
}

/**
 * The graph with values replaced, also inside of replacements. The same object where nothing it reaches is replaced.
 * A replacement must not lead back to what it replaces. Iterative.
 */
export function substitute(graph: Graph, replaced: ReadonlyMap<Value, Value>, arena: Arena): Graph {
  if (replaced.size === 0) return graph;
  const done = new Map<Value, Value>();
  const resolve = (root: Value): Value => {
    const stack = [{ value: root, next: 0 }];
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      const other = replaced.get(top.value);
      const open = done.has(top.value) ? undefined : other ? [other][top.next] : top.value.node.operands[top.next];
      if (open) {
        top.next++;
        if (!done.has(open)) stack.push({ value: open, next: 0 });
      } else {
        stack.pop();
        if (!done.has(top.value)) finish(top.value, replaced, done, arena);
      }
    }
    return done.get(root)!;
  };
  return withOutputs(graph, resolve);
}

function finish(value: Value, replaced: ReadonlyMap<Value, Value>, done: Map<Value, Value>, arena: Arena): void {
  const other = replaced.get(value);
  if (other) {
    const final = done.get(other)!;
    arena.inherit(value, final);
    done.set(value, final);
    return;
  }
  const { operands, results } = value.node;
  const node = arena.rebuild(
    value.node,
    operands.map((operand) => done.get(operand)!),
  );
  for (const result of results) {
    if (replaced.has(result)) continue;
    const final = node.results[result.index]!;
    arena.inherit(result, final);
    done.set(result, final);
  }
}

/** The graph with other outputs; the same object where they are the same. */
export function withOutputs(graph: Graph, replace: (value: Value) => Value): Graph {
  const outputs = graph.outputs.map(({ name, value }) => ({ name, value: replace(value) }));
  return outputs.every(({ value }, i) => value === graph.outputs[i]!.value) ? graph : { ...graph, outputs };
}

/** The node again with the graphs it holds replaced; the same node where they are the same. */
export function withBranches(node: Node, arena: Arena, replace: (branch: Graph) => Graph): Node {
  const held = subgraphsOf(node);
  if (held.length === 0) return node;
  const next = new Map(held.map((graph) => [graph, replace(graph)] as const));
  if (held.every((graph) => next.get(graph) === graph)) return node;
  const attrs = Array.from(node.attrs, ([name, value]) => [name, next.get(value as Graph) ?? value] as const);
  return arena.node(node.op, node.operands, Object.fromEntries(attrs));
}
