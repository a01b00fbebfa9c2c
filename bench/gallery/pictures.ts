import { maskPng, structureSummary } from "../../src/backends/report/mask-picture.ts";
import type { Declared } from "../../src/compile.ts";
import { evaluate } from "../../src/ir/dim.ts";
import { blockStructure } from "../../src/ir/index-analysis/structure.ts";
import { showIndex } from "../../src/ir/index-expr/show.ts";
import type { Drawn } from "./entry.ts";

type Sizes = ReadonlyMap<string, number>;

/** Cells of a picture, a side. */
const cells = 128;

/** The blocks of the first mask function that depends on queries and keys, for the first batch entry and head. */
export function maskPicture(name: string, declared: Declared, sizes: Sizes): Drawn | undefined {
  const [first] = declared.masks ?? [];
  if (!first) return undefined;
  const { formula, lengths } = first;
  const counts = {
    B: evaluate(lengths.B, sizes),
    H: evaluate(lengths.H, sizes),
    Q: evaluate(lengths.Q, sizes),
    K: evaluate(lengths.K, sizes),
  };
  const block = Math.max(1, Math.ceil(Math.max(counts.Q, counts.K) / cells));
  const structure = blockStructure(formula, counts, block, { b: [0, 0], h: [0, 0] });
  return {
    file: `${name}.mask.png`,
    formula: showIndex(formula),
    summary: structureSummary(structure),
    bytes: maskPng(structure),
  };
}

export function scorePicture(_name: string, _declared: Declared, _sizes: Sizes): Drawn | undefined {
  return undefined;
}
