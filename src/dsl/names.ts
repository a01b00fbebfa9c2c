import type { Value } from "../ir/graph.ts";
import type { Builder, Made } from "./builder.ts";
import type { Site } from "./site.ts";
import { type Call, callAt } from "./source.ts";

/**
 * Tells the arena where the values of a build were declared and what the author calls them: the variable a call's
 * result goes to, else the name given to its layer; after the prefixes of `scope`. A name used again gets a number.
 */
export function nameValues(builder: Builder, readNames: boolean): void {
  const calls = new Map<Site, Call | undefined>();
  const named = new Set<Value>();
  const counts = new Map<string, number>();
  const callOf = (site: Site) => {
    if (!calls.has(site)) calls.set(site, readNames && site.location ? callAt(site.location, site.callee) : undefined);
    return calls.get(site);
  };
  for (const made of builder.made) {
    const { location } = made.site;
    const name = named.has(made.value) ? undefined : nameOf(made, callOf(made.site));
    if (name !== undefined) named.add(made.value);
    builder.arena.hint(made.value, {
      ...(name !== undefined && { name: unique(made.scope + name, counts) }),
      ...(location && { location: callOf(made.site)?.location ?? location }),
    });
  }
}

const nameOf = (made: Made, call: Call | undefined): string | undefined =>
  made.result === undefined ? made.label : (call?.names[made.result] ?? made.label);

function unique(name: string, counts: Map<string, number>): string {
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  return count === 1 ? name : `${name}_${count}`;
}
