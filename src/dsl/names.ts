import type { Value } from "../ir/graph.ts";
import type { Builder } from "./builder.ts";

/** Tells the arena what the author calls the values of a build and where they stand. */
export function nameValues(builder: Builder, outputs: readonly (readonly [string, Value])[], names: boolean): void {
  void names;
  void outputs;
  for (const { value, site } of builder.made) if (site.location) builder.arena.hint(value, { location: site.location });
}
