import type { Graph, Node, Value } from "../../ir/graph.ts";
import { valuesRead } from "./code.ts";
import type { Item } from "./items.ts";
import { findLoops, type Loop } from "./loops.ts";

/** What a block is made of, in order. */
export type Unit = { readonly kind: "item"; readonly item: Item } | { readonly kind: "loop"; readonly loop: Loop };

/** What a unit reads from outside. */
export const readsOf = (unit: Unit): readonly Value[] => {
  if (unit.kind === "item") return valuesRead(unit.item.code);
  const { body, carried, families } = unit.loop;
  const own = new Set(body.flatMap(({ node }) => node.results));
  const inner = body.flatMap(({ code }) => valuesRead(code)).filter((value) => !own.has(value));
  return [...carried.map(({ initial }) => initial), ...families.flatMap(({ values }) => values), ...inner];
};

/**
 * The items of a graph with its loops, each after what it reads; what does not depend on a layer stands where it is first
 * needed.
 */
export function unitsOf(graph: Graph, items: readonly Item[], nameOf: (param: Node) => string) {
  const { order, ranks, loops } = findLoops(items, nameOf);
  const units = new Map<Value, Unit>();
  for (const loop of loops) {
    const unit: Unit = { kind: "loop", loop };
    for (const { node } of loop.turns.flat()) for (const value of node.results) units.set(value, unit);
  }
  for (const item of items)
    if (!units.has(item.node.results[0]!)) {
      const unit: Unit = { kind: "item", item };
      for (const value of item.node.results) units.set(value, unit);
    }
  const ordered: Unit[] = [];
  const seen = new Set<Unit>();
  const place = (value: Value) => placeUnit(units.get(value), units, seen, ordered);
  for (const item of order) if (ranks.get(item)! > 0) place(item.node.results[0]!);
  for (const { value } of graph.outputs) place(value);
  return { units: ordered, loops };
}

/** Puts a unit after everything it reads. */
function placeUnit(root: Unit | undefined, units: ReadonlyMap<Value, Unit>, seen: Set<Unit>, ordered: Unit[]): void {
  if (!root || seen.has(root)) return;
  seen.add(root);
  const stack = [{ unit: root, reads: readsOf(root), next: 0 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const value = top.reads[top.next++];
    if (value === undefined) {
      ordered.push(top.unit);
      stack.pop();
      continue;
    }
    const unit = units.get(value);
    if (!unit || seen.has(unit)) continue;
    seen.add(unit);
    stack.push({ unit, reads: readsOf(unit), next: 0 });
  }
}
