import type { Arena } from "./ir/arena.ts";
import { type Graph, nodesOf, usesOf, type Value } from "./ir/graph.ts";
import type { PassStep } from "./passes/instruments.ts";

/** What the passes made of a declared value. */
export interface Fate {
  readonly value: Value;
  /** What stands for it at the end; undefined where it has no counterpart any more. */
  readonly became: Value | undefined;
  /** Passes that put another operation in its place, in order; of a value that is gone, the last is the one that took it. */
  readonly by: readonly string[];
  /** Of a value that is gone: the next declared value after it that the operations which took its work stand for. */
  readonly into?: Value;
}

/**
 * What became of every declared value that is computed: a replacement stands for what it replaced (`Arena.inherit`), through
 * any number of passes. In the order of the declared graph.
 */
export function fatesOf(declared: Graph, steps: readonly PassStep[], arena: Arena): readonly Fate[] {
  const values = nodesOf(declared)
    .filter(({ operands }) => operands.length > 0)
    .flatMap(({ results }) => results);
  const known = new Set(values);
  const fates = new Map<Value, Fate>(values.map((value) => [value, { value, became: value, by: [] }]));
  for (const { pass, before, after } of steps) {
    if (before === after) continue;
    const standing = standingFor(after, known, arena);
    for (const [value, fate] of fates) {
      if (fate.became === undefined) continue;
      const next = standing.get(value);
      if (next === fate.became || (next && next.node.op === fate.became.node.op))
        fates.set(value, { ...fate, became: next });
      else
        fates.set(value, {
          value,
          became: next,
          by: [...fate.by, pass.name],
          ...(!next && into(value, declared, standing)),
        });
    }
  }
  return [...fates.values()];
}

/** For declared values, what stands for them in a graph: themselves, or the first that took their place. */
function standingFor(graph: Graph, known: ReadonlySet<Value>, arena: Arena): ReadonlyMap<Value, Value> {
  const standing = new Map<Value, Value>();
  for (const value of nodesOf(graph).flatMap(({ results }) => results)) {
    const origin = known.has(value) ? value : originIn(known, value, arena);
    if (origin && (origin === value || !standing.has(origin))) standing.set(origin, value);
  }
  return standing;
}

function originIn(known: ReadonlySet<Value>, value: Value, arena: Arena): Value | undefined {
  const seen = new Set<Value>();
  for (let at: Value | undefined = value; at && !seen.has(at); at = arena.originOf(at)) {
    if (known.has(at)) return at;
    seen.add(at);
  }
  return undefined;
}

/** The nearest user, through users, that something still stands for. */
function into(value: Value, declared: Graph, standing: ReadonlyMap<Value, Value>): { readonly into?: Value } {
  const { users } = usesOf(declared);
  const open = [value];
  const seen = new Set(open);
  for (const at of open)
    for (const result of (users.get(at) ?? []).flatMap(({ node }) => node.results)) {
      if (standing.has(result)) return { into: result };
      if (!seen.has(result)) {
        seen.add(result);
        open.push(result);
      }
    }
  return {};
}
