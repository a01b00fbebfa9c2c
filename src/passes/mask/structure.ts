import { isStatic } from "../../ir/dim.ts";
import type { BlockStructure } from "../../ir/index-analysis/block-structure.ts";
import { blockStructure } from "../../ir/index-analysis/structure.ts";
import type { MaskProblem } from "./problem.ts";

export const openLengths = "the lengths are not known";

/** More than there will be: a structure that holds for so many batches holds for fewer. */
const mostBatches = 2 ** 20;

const known = new WeakMap<object, Map<string, BlockStructure>>();

/** The block structure of the mask, for all batches and heads at once, or why there is none. */
export function structureAt({ mask, sizes }: MaskProblem, blockSize: number): BlockStructure | string {
  const { batch, heads, queries, keys } = sizes;
  if (!isStatic(queries) || !isStatic(keys)) return openLengths;
  const lengths = { B: isStatic(batch) ? batch : mostBatches, H: isStatic(heads) ? heads : mostBatches };
  const key = `${JSON.stringify(lengths)} ${queries} ${keys} ${blockSize}`;
  const made = known.get(mask.expr) ?? new Map<string, BlockStructure>();
  known.set(mask.expr, made);
  let structure = mask.tables.length === 0 ? made.get(key) : undefined;
  if (!structure) made.set(key, (structure = blockStructure(mask, { ...lengths, Q: queries, K: keys }, blockSize)));
  return structure;
}
