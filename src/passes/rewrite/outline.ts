import { type Arena, graphOf } from "../../ir/arena.ts";
import type { Graph, Value } from "../../ir/graph.ts";
import { substitute } from "./substitute.ts";

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
