import { type Compiled, compile, type Declared } from "../../src/compile.ts";
import { completeDims } from "../../src/feeds.ts";
import { costOf } from "../../src/ir/cost.ts";
import { show, substitute } from "../../src/ir/dim.ts";
import type { Drawn, Structure } from "./entry.ts";
import { maskPicture } from "./mask-picture.ts";
import { scorePicture } from "./score-picture.ts";

/** Passes that only tidy up; what they did says nothing about the variant. */
const tidying = new Set(["canonicalise", "fold-constants"]);

/** What follows from a declaration: pictures, cost formulas, what the passes did for these sizes. */
export async function structureOf(
  name: string,
  declared: Declared,
  given: ReadonlyMap<string, number>,
): Promise<{ readonly structure: Structure; readonly pictures: readonly Drawn[] }> {
  const hints = completeDims(declared.graph, given);
  const naive = await compile(declared, { hints, naive: true });
  const optimised = await compile(declared, { hints });
  const mask = maskPicture(name, declared, hints);
  const score = scorePicture(name, declared, hints);
  const pictures = [mask, score].filter((drawn) => drawn !== undefined);
  const structure = {
    sizes: Object.fromEntries(hints),
    mask: mask ? without(mask) : null,
    score: score ? without(score) : null,
    flops: { naive: flopsOf(naive), optimised: flopsOf(optimised) },
    lowering: loweringOf(optimised),
  };
  return { structure, pictures };
}

const without = ({ bytes: _bytes, ...picture }: Drawn) => picture;

const single = new Map([["batch", 1]]);
const flopsOf = ({ graph }: Compiled) => show(substitute(costOf(graph).flops, single));

function loweringOf({ steps }: Compiled): readonly string[] {
  const fired = new Map<string, number>();
  for (const { pass, tally } of steps)
    if (!tidying.has(pass.name))
      for (const [rule, count] of tally.fired) {
        const key = rule === pass.name ? rule : `${pass.name}: ${rule}`;
        fired.set(key, (fired.get(key) ?? 0) + count);
      }
  return Array.from(fired, ([rule, count]) => (count === 1 ? rule : `${rule} ×${count}`));
}
