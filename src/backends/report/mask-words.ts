import { type Dim, show } from "../../ir/dim.ts";
import { type BlockStructure, densityBounds } from "../../ir/index-analysis/block-structure.ts";
import type { MaskFacts } from "../../ir/index-analysis/facts.ts";

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;
const count = (n: number) => n.toLocaleString("en-US");

/** What a picture shows, in a line: blocks of each class, and bounds of the share of pairs that attend. */
export function structureSummary(structure: BlockStructure): string {
  const { least, most } = densityBounds(structure);
  const blocks = `${count(structure.full)} full, ${count(structure.partial)} partial, ${count(structure.empty)} empty`;
  const density = least === most ? percent(least) : `${percent(least)} to ${percent(most)}`;
  const size = `${structure.queries} queries × ${structure.keys} keys, blocks of ${structure.blockSize}`;
  return `${size}: ${blocks}; ${density} of the pairs attend`;
}

/** Positions in order as ranges: 0–15, 40. */
function listed(places: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const place of places) {
    const last = ranges.at(-1);
    if (last && last[1] + 1 === place) last[1] = place;
    else ranges.push([place, place]);
  }
  const texts = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return texts.length <= 4 ? texts.join(", ") : `${texts.slice(0, 3).join(", ")}, … (${count(places.length)})`;
}

/** What is known of a mask, in a line: causal, how far it reaches, stride, tiles, documents, globals, what it depends on. */
export function factsLine(facts: MaskFacts, lengths: { readonly Q?: number; readonly K?: number } = {}): string {
  const { reach, stride, blockDiagonal, documents, globals, dependsOn } = facts;
  const far = (side: Dim | undefined, name: string, length = Number.POSITIVE_INFINITY) =>
    side === undefined || (typeof side === "number" && side >= length - 1) ? [] : [`at most ${show(side)} ${name}`];
  const ahead = facts.causal ? [] : far(reach.ahead, "ahead", lengths.K);
  const reaches = [...far(reach.back, "back", lengths.Q), ...ahead];
  const global = (name: string, formula: unknown, places: readonly number[] | undefined) =>
    formula === undefined ? [] : [places ? `global ${name} ${listed(places)}` : `global ${name}`];
  const words = [
    ...(facts.causal ? ["causal"] : []),
    ...(reaches.length > 0 ? [reaches.join(", ")] : []),
    ...(stride && stride.modulus > 1 ? [`every ${stride.modulus}th distance`] : []),
    ...(blockDiagonal ? [`tiles of ${blockDiagonal.size}`] : []),
    ...(documents ? [`${documents.offsets.length} documents`] : []),
    ...(globals
      ? [...global("rows", globals.rows, globals.rowsAt), ...global("columns", globals.columns, globals.columnsAt)]
      : []),
    ...(facts.dataTables.length > 0 ? ["a tensor decides"] : []),
    ...(dependsOn.h ? ["heads differ"] : []),
    ...(dependsOn.b ? ["batches differ"] : []),
  ];
  return words.length === 0 ? "nothing is known beyond the picture" : words.join(" · ");
}
