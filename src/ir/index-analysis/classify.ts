import type { IndexFormula } from "../index-expr/types.ts";
import { type BoxProgram, boxProgram, type MaskLengths } from "./program.ts";

/** Inclusive bounds. */
export type Range = readonly [first: number, last: number];

export interface Box {
  readonly q: Range;
  readonly k: Range;
  /** All batches where not said. */
  readonly b?: Range;
  /** All query heads where not said. */
  readonly h?: Range;
}

export type BlockClass = "empty" | "partial" | "full";

/** A class with what is known of it. */
export interface Classified {
  readonly class: BlockClass;
  /**
   * `proven`: a partial block has a pair that may attend and one that may not. `data`: it depends on a tensor. `budget`: it was
   * given up. Empty and full are always proven.
   */
  readonly because: "proven" | "data" | "budget";
}

/** Boxes looked at inside of a block before it is called partial. */
const budget = 4096;
/** The same where a tensor's elements decide: what its indices alone decide is found early. */
const budgetOfData = 64;

/** Class of a block; see `classifyBox`. Throws QKV248 for lengths that are no counts. */
export const classifyBlock = (formula: IndexFormula, box: Box, lengths: MaskLengths): BlockClass =>
  classifyBox(boxProgram(formula, lengths), box).class;

/**
 * Class of the block: empty where no pair of query and key may attend, full where all may, in every batch and head of
 * the box. Sound always; exact (`proven`) unless a tensor decides or 4096 boxes inside were not enough.
 */
export function classifyBox(program: BoxProgram, box: Box): Classified {
  const { B, H } = program.lengths;
  const b = box.b ?? [0, B - 1];
  const h = box.h ?? [0, H - 1];
  program.over(b, h);
  const found = bisect(program, [...box.q, ...box.k, ...h, ...b]);
  if (b[0] !== b[1] || h[0] !== h[1]) program.over([0, B - 1], [0, H - 1]);
  return found;
}

/** As `classifyBox` for queries, keys, heads and batches, those of which the program was asked about last. */
export function bisect(program: BoxProgram, whole: readonly number[]): Classified {
  const root = program.parts.length - 1;
  const data = program.fromData[root] === 1;
  const severalSlices = (program.reads[root]! & 12) !== 0 && (whole[4] !== whole[5] || whole[6] !== whole[7]);
  const stack = [whole];
  const undivided: Classified = { class: "partial", because: data ? "data" : "budget" };
  let [empty, full] = [false, false];
  let left = data ? budgetOfData : budget;
  while (stack.length > 0) {
    if (left-- === 0) return undivided;
    const box = stack.pop()!;
    if (severalSlices) program.over([box[6]!, box[7]!], [box[4]!, box[5]!]);
    const verdict = program.verdict(box[0]!, box[1]!, box[2]!, box[3]!);
    if (verdict === "empty") empty = true;
    else if (verdict === "full") full = true;
    else if (program.isMixed()) return { class: "partial", because: "proven" };
    else if (!split(box, stack, program.reads[root]!)) {
      if (data) return undivided;
      if (program.holdsAt(box[0]!, box[2]!, box[4]!, box[6]!)) full = true;
      else empty = true;
    }
    if (empty && full) return { class: "partial", because: "proven" };
  }
  return { class: full ? "full" : "empty", because: "proven" };
}

/** Pushes the halves of a box along its longest axis that the formula reads; false for a single point. */
function split(box: readonly number[], stack: (readonly number[])[], reads: number): boolean {
  let axis = -1;
  let longest = 0;
  for (let i = 0; i < 4; i++) {
    const extent = box[2 * i + 1]! - box[2 * i]!;
    if (extent > longest && (reads & [1, 2, 8, 4][i]!) !== 0) [longest, axis] = [extent, i];
  }
  if (axis < 0) return false;
  const [first, last] = [box[2 * axis]!, box[2 * axis + 1]!];
  const middle = (first + last) >> 1;
  stack.push(
    box.map((bound, i) => (i === 2 * axis + 1 ? middle : bound)),
    box.map((bound, i) => (i === 2 * axis ? middle + 1 : bound)),
  );
  return true;
}
