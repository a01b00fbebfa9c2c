import type { Build } from "../../ir/arena.ts";
import { bindsDims, symbolsBound } from "../../ir/binding.ts";
import { symbolsOf } from "../../ir/dim.ts";
import { topological, type Value } from "../../ir/graph.ts";

/**
 * `kept` broadcast to the shape of `root`, which has other operands besides. Undefined where a size of it is known only once
 * one of those ran: nothing would tell it any more.
 */
export function spread(b: Build, kept: Value, { type, node }: Value): Value | undefined {
  const needed = new Set(type.shape.flatMap(symbolsOf));
  if (needed.size > 0) {
    for (const { op, results } of topological(node.operands))
      if (op === "input")
        for (const name of results.flatMap(({ type }) => type.shape.flatMap(symbolsOf))) needed.delete(name);
    const told = boundBelow(kept);
    if ([...boundBelow(...node.operands)].some((name) => needed.has(name) && !told.has(name))) return undefined;
  }
  return b.broadcast(kept, { shape: type.shape });
}

const boundBelow = (...values: readonly Value[]): ReadonlySet<string> =>
  new Set(topological(values).filter(bindsDims).flatMap(symbolsBound));
