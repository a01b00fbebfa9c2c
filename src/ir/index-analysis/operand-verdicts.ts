import { freeBits } from "./mixed.ts";
import type { BoxProgram, Verdict } from "./program.ts";
import { canBeOther, canBeZero } from "./slots.ts";

/** `mixed`: the box is known to hold both a pair that may attend and one that may not. */
export type BoxClass = Verdict | "mixed";

/** An operand of the conjunction (or disjunction) a mask is, and the bits it reads of q and k. */
interface Operand {
  readonly slot: number;
  readonly ofQ: number;
  readonly ofK: number;
  /** What is known of it, by the queries and the keys of a box as far as it reads them. */
  readonly known: Map<number, Map<number, BoxClass>>;
  /** What is known of the queries of the last box. */
  last: Map<number, BoxClass> | undefined;
}

const everyBit = -1;
/** Boxes of operands that are remembered. */
const mostRemembered = 100_000;

/**
 * Classes of boxes of a program. Of a mask whose operands select bits, as those of interleaved coordinates do, an operand
 * is the same in many boxes: what is known of it is remembered.
 */
export class OperandVerdicts {
  private readonly program: BoxProgram;
  private readonly operands: readonly Operand[];
  private readonly isRemembered: boolean;
  /** No bit is read by two operands. */
  private readonly isApart: boolean;
  /** What all of the mask is where one operand is so. */
  private readonly strong: Verdict;
  private room = mostRemembered;
  private q0 = -1;
  private q1 = -1;

  constructor(program: BoxProgram) {
    const root = program.parts.at(-1)!;
    const join = root.kind === "apply" && root.fn === "or" ? "or" : "and";
    this.program = program;
    this.strong = join === "and" ? "empty" : "full";
    this.operands = slotsOf(join, program).map((slot) => ({
      slot,
      ...bitsOf(slot, program),
      known: new Map(),
      last: undefined,
    }));
    this.isRemembered = this.operands.every(({ ofQ, ofK }) => ofQ !== everyBit && ofK !== everyBit);
    const areApart = (x: Operand, y: Operand) => (x.ofQ & y.ofQ) === 0 && (x.ofK & y.ofK) === 0;
    this.isApart = this.operands.every((x, i) => this.operands.slice(i + 1).every((y) => areApart(x, y)));
  }

  of(q0: number, q1: number, k0: number, k1: number): BoxClass {
    const [freeOfQ, freeOfK] = [freeBits(q0, q1), freeBits(k0, k1)];
    if (!this.isRemembered || freeOfQ === everyBit || freeOfK === everyBit) return this.asked(q0, q1, k0, k1);
    const { program, strong } = this;
    if (q0 !== this.q0 || q1 !== this.q1) this.remember(q0, q1, freeOfQ);
    let [isAsked, mixed, unknown] = [false, 0, 0];
    for (let i = 0; i < this.operands.length; i++) {
      const { slot, ofK, last } = this.operands[i]!;
      const byKeys = last!;
      const keys = ofBox(k0, freeOfK, ofK);
      let found = byKeys.get(keys);
      if (!found) {
        if (this.room-- <= 0) return this.asked(q0, q1, k0, k1);
        if (!isAsked) program.verdict(q0, q1, k0, k1);
        isAsked = true;
        byKeys.set(keys, (found = this.classOf(slot)));
      }
      if (found === strong) return strong;
      if (found === "mixed") mixed++;
      if (found === "unknown") unknown++;
    }
    if (unknown > 0 || (mixed > 1 && !this.isApart)) return "unknown";
    return mixed > 0 ? "mixed" : strong === "empty" ? "full" : "empty";
  }

  /** Brings forth what is known of operands at these queries. */
  private remember(q0: number, q1: number, free: number): void {
    this.q0 = q0;
    this.q1 = q1;
    for (const operand of this.operands) {
      const queries = ofBox(q0, free, operand.ofQ);
      operand.last = operand.known.get(queries);
      if (!operand.last) operand.known.set(queries, (operand.last = new Map()));
    }
  }

  private asked(q0: number, q1: number, k0: number, k1: number): BoxClass {
    const verdict = this.program.verdict(q0, q1, k0, k1);
    return verdict === "unknown" && this.program.isMixed() ? "mixed" : verdict;
  }

  /** What the program has just found out about a part. */
  private classOf(slot: number): BoxClass {
    const { program } = this;
    if (!canBeOther(program.slots, slot)) return "empty";
    if (!canBeZero(program.slots, slot)) return "full";
    return program.isMixed(slot) ? "mixed" : "unknown";
  }
}

/** A box of so many free bits, at what is read of its others. */
const ofBox = (first: number, free: number, bits: number) => (first & bits) * 32 + Math.clz32(free & bits);

/** Operands of nested `and` or `or`. */
function slotsOf(join: "and" | "or", { parts, args }: BoxProgram): readonly number[] {
  const found: number[] = [];
  const reached = new Set([parts.length - 1]);
  for (const slot of reached) {
    const part = parts[slot]!;
    if (part.kind === "apply" && part.fn === join) for (const arg of args[slot]!) reached.add(arg);
    else found.push(slot);
  }
  return found;
}

/** The bits a part reads of q and k. */
function bitsOf(slot: number, { parts, args, selections }: BoxProgram): { readonly ofQ: number; readonly ofK: number } {
  const read = { q: 0, k: 0, b: 0, h: 0 };
  const reached = new Set([slot]);
  for (const next of reached) {
    const selection = selections[next];
    const index = parts[selection?.of ?? next]!;
    if (index.kind === "index") read[index.name] |= selection?.mask ?? everyBit;
    else for (const arg of args[next]!) reached.add(arg);
  }
  return { ofQ: read.q, ofK: read.k };
}
