import { type Arena, graphOf } from "../../ir/arena.ts";
import type { Graph, Value } from "../../ir/graph.ts";
import { isFoldable } from "./foldable.ts";
import { substitute } from "./substitute.ts";

/** Makes closed branches: what they need comes in as these captures. */
export function outliner(arena: Arena, captures: readonly Value[]): (name: string, root: Value) => Graph {
  const inputs = captures.map(({ type }, i) => arena.build.input({ name: `captured.${i}`, ...type }));
  const given = new Map(captures.map((value, i) => [value, inputs[i]!]));
  return (name, root) => substitute(graphOf(name, inputs, [["result", root]]), given, arena);
}

/**
 * What values are computed from: what `ends` says, inputs, and what can be computed before the graph runs, so that it is
 * not computed in a branch; parameters and constants may be reached.
 */
export function capturesOf(roots: readonly Value[], ends: ReadonlySet<Value>): readonly Value[] {
  const captures = new Set<Value>();
  const seen = new Set<Value>();
  const stack = [...roots].reverse();
  for (let value = stack.pop(); value; value = stack.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    const foldable = isFoldable(value);
    if (foldable && value.node.operands.length === 0) continue;
    if (foldable || value.node.op === "input" || ends.has(value)) captures.add(value);
    else stack.push(...[...value.node.operands].reverse());
  }
  return [...captures];
}
