import { fail } from "../../../ir/diagnostics.ts";
import type { OnnxGraph, OnnxNode } from "../schema.ts";
import { freeNames, graphsOf, withGraphs } from "./functions.ts";

/** Whether the graphs around have a value of this name. */
type Known = (name: string) => boolean;

/**
 * The nodes of a graph, operands first; in the file's order where it is such an order already. Throws QKV402 for a value
 * computed from itself.
 */
export function sorted({ nodes }: OnnxGraph, known: Known): readonly OnnxNode[] {
  const reads = new Map(
    nodes.map((node) => [node, [...node.inputs, ...graphsOf(node).flatMap((inner) => [...freeNames(inner)])]]),
  );
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const state = new Map<OnnxNode, "open" | "done">();
  const order: OnnxNode[] = [];
  for (const root of nodes) {
    const stack = [{ node: root, next: 0 }];
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      if (top.next === 0 && state.get(top.node) === "done") {
        stack.pop();
        continue;
      }
      state.set(top.node, "open");
      const name = reads.get(top.node)![top.next++];
      if (name === undefined) {
        state.set(top.node, "done");
        order.push(top.node);
        stack.pop();
        continue;
      }
      const maker = name === "" || known(name) ? undefined : makers.get(name);
      if (!maker || state.get(maker) === "done") continue;
      if (state.get(maker) === "open") fail("QKV402", `"${name}" is computed from itself`);
      stack.push({ node: maker, next: 0 });
    }
  }
  return order;
}

/** A node with the nodes of the graphs it holds in order, and of the graphs in these. */
export const withSortedGraphs = (node: OnnxNode, known: Known): OnnxNode =>
  withGraphs(node, (graph) => {
    const given = new Set([...graph.inputs, ...graph.initializers].map(({ name }) => name));
    const nodes = sorted(graph, (name) => given.has(name) || known(name));
    const own = new Set([...given, ...nodes.flatMap(({ outputs }) => outputs)]);
    return { ...graph, nodes: nodes.map((inner) => withSortedGraphs(inner, (name) => own.has(name) || known(name))) };
  });
