import { type Arena, graphOf } from "../../ir/arena.ts";
import type { Graph, Value } from "../../ir/graph.ts";
import { isFoldable } from "./foldable.ts";
import { substitute } from "./substitute.ts";

/**
 * Branches that are closed: what they need comes in as captures. Captured is what `ends` says, inputs, and what can be computed
 * before the graph runs, so that it is not computed in a branch; parameters and constants may be reached.
 */
export function outliner(arena: Arena, roots: readonly Value[], ends: ReadonlySet<Value>) {
  const captures = capturesOf(roots, ends);
  const inputs = captures.map(({ type }, i) => arena.build.input({ name: `captured.${i}`, ...type }));
  const outline = (name: string, root: Value): Graph => outlined(name, root, captures, inputs, arena);
  return { captures, outline };
}

function capturesOf(roots: readonly Value[], ends: ReadonlySet<Value>): readonly Value[] {
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

/** The graph of a branch: captures replaced by its inputs. */
export function outlined(
  name: string,
  root: Value,
  captures: readonly Value[],
  inputs: readonly Value[],
  arena: Arena,
): Graph {
  const given = new Map(captures.map((value, i) => [value, inputs[i]!]));
  return substitute(graphOf(name, inputs, [["result", root]]), given, arena);
}
