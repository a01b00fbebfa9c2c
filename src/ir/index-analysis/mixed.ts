import type { BoxProgram } from "./program.ts";
import { isExactTerm } from "./slots.ts";

/** Functions of integers that take every value between their bounds where their arguments do so independently. */
const keepsDense = new Set("abs min max floor ceil round trunc and or not".split(" "));

/**
 * Answers whether a box is known to hold a place where a part, undecided when the program was last asked, is true and
 * one where it is false: no bit of an index that varies in the box is read twice, and so undecided parts are independent
 * and take every value between their bounds. Sound: where it says no, nothing is known.
 */
export function mixedTest(program: Omit<BoxProgram, "isMixed">): BoxProgram["isMixed"] {
  const { parts, slots, sums, selections } = program;
  // What a part takes every value for if these do so; undefined where nothing is known of it.
  const madeOf = parts.map((_, slot) => denseArgs(program, slot));
  const isAsked = new Uint8Array(parts.length);
  /** Bits of each index that have been read. */
  const taken = new Int32Array(parts.length);
  const take = (index: number, bits: number) => {
    const isNew = (taken[index]! & bits) === 0;
    taken[index]! |= bits;
    return isNew;
  };
  const isDense = (slot: number): boolean => {
    const selection = selections[slot];
    const free = selection ? freeBits(slots.lo[selection.of]!, slots.hi[selection.of]!) : -1;
    if (selection && free !== -1) {
      const unknown = slots.unknown[slot]!;
      return selection.once && (unknown & (unknown + 1)) === 0 && take(selection.of, selection.mask & free);
    }
    const inner = madeOf[slot];
    if (!inner) return parts[slot]!.kind === "index" && take(slot, -1);
    const sum = sums[slot];
    for (let t = 0; t < inner.length; t++) {
      const term = inner[t]!;
      if (sum && !isExactTerm(slots, term)) return false;
      if (slots.mod[term] === 0) continue;
      // What is asked twice is read twice.
      if (isAsked[term] === 1 || (sum && Math.abs(sum.by[t]!) !== 1)) return false;
      isAsked[term] = 1;
    }
    return true;
  };
  return (whole = parts.length - 1) => {
    isAsked.fill(0);
    taken.fill(0);
    isAsked[whole] = 1;
    // Arguments come before what is made of them.
    for (let slot = whole; slot >= 0; slot--) {
      if (isAsked[slot] === 1 && (slots.mod[slot]! < 0 || !isDense(slot))) return false;
    }
    return true;
  };
}

/** Bits in which the numbers of an interval differ, where it holds all there are of these; else -1. */
export function freeBits(first: number, last: number): number {
  if (first === last) return 0;
  const free = -1 >>> Math.clz32(first ^ last);
  return (first & free) === 0 && (last & free) === free ? free : -1;
}

function denseArgs({ parts, args, sums, divisions }: Omit<BoxProgram, "isMixed">, slot: number) {
  const part = parts[slot]!;
  const division = divisions[slot];
  if (sums[slot]) return sums[slot].of;
  if (division) return division.kind === "quotient" || division.kind === "towardsZero" ? [division.of] : undefined;
  return part.kind === "apply" && keepsDense.has(part.fn) ? args[slot]! : undefined;
}
