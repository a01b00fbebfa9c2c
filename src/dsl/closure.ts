import { graphOf } from "../ir/arena.ts";
import { type Graph, type Node, topological, type Value } from "../ir/graph.ts";
import type { Builder } from "./builder.ts";

type Named = readonly (readonly [name: string, value: Value])[];

/** Graphs that take the same values from outside, as `if` and `scan` hold them. */
export interface Closures {
  readonly graphs: readonly Graph[];
  /** What they take besides what they are given, in the order of their inputs. */
  readonly captures: readonly Value[];
}

/**
 * Outputs as graphs of their own, over inputs `given`. Nodes that are `inside` are copied into them; what they take from
 * outside becomes captures, leaves apart. All take all captures.
 */
export function closed(
  b: Builder,
  graphs: readonly { readonly name: string; readonly outputs: Named }[],
  given: readonly Value[],
  kind: string,
  isInside: (node: Node, inside: ReadonlySet<Node>) => boolean,
): Closures {
  const order = topological(graphs.flatMap(({ outputs }) => outputs.map(([, value]) => value)));
  const inside = new Set(given.map(({ node }) => node));
  for (const node of order) if (isInside(node, inside)) inside.add(node);
  const captures = new Map<Value, Value>();
  const done = new Map<Value, Value>(given.map((value) => [value, value]));
  const captured = (value: Value): Value => {
    if (value.node.op !== "input" && value.node.operands.length === 0) return value;
    const name = `${`${kind}.`.repeat(b.depth + 1)}captured.${captures.size}`;
    let input = captures.get(value);
    if (!input) captures.set(value, (input = b.arena.build.input({ name, ...value.type })));
    return input;
  };
  const final = (value: Value): Value => done.get(value) ?? captured(value);
  for (const node of order) {
    if (!inside.has(node) || done.has(node.results[0]!)) continue;
    const copy = b.arena.rebuild(node, node.operands.map(final));
    node.results.forEach((value, i) => done.set(value, copy.results[i]!));
  }
  for (const made of b.made.slice()) {
    const copy = done.get(made.value);
    if (copy && copy !== made.value) b.made.push({ ...made, value: copy });
  }
  const ends = graphs.map(({ outputs }) => outputs.map(([name, value]) => [name, final(value)] as const));
  const inputs = [...given, ...captures.values()];
  return {
    graphs: graphs.map(({ name }, i) => graphOf(name, inputs, ends[i]!)),
    captures: [...captures.keys()],
  };
}
