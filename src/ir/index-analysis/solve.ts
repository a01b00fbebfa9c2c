import { Extents, isPoint } from "./extents.ts";
import { bare, joined, type KeySet, Stretch } from "./key-set.ts";
import { type Course, still, unbounded, zero } from "./moving.ts";
import { Preimages } from "./preimage.ts";
import type { BoxProgram } from "./program.ts";
import { between, divided, outside, Target } from "./target.ts";
import { comparisons } from "./transfer.ts";

/** Slots of one operand, or of several that bound one part. */
type Operand = readonly number[];

/** What a difference is of where an inequality with 0 is false, and where it is true. */
const rays = {
  less: [
    [0, unbounded],
    [-unbounded, 0],
  ],
  lessEqual: [
    [1, unbounded],
    [-unbounded, 1],
  ],
  greater: [
    [-unbounded, 1],
    [1, unbounded],
  ],
  greaterEqual: [
    [-unbounded, 0],
    [0, unbounded],
  ],
} as const;

/**
 * Keys for which a part of a mask can be true (or false) for some query, head and batch of a row: never too few.
 * `course.approximate` is set where they may be too many.
 */
export class Solver {
  readonly extents: Extents;
  readonly preimages: Preimages;
  /** How costly parts are to solve: what narrows the keys at little cost is asked first. */
  private readonly ranks: Uint8Array;
  private readonly operands = new Map<number, readonly Operand[]>();
  private readonly everyKey: KeySet;
  private readonly known: ({ readonly keys: KeySet; readonly approximate: boolean } | undefined)[] = [];

  readonly program: BoxProgram;
  readonly course: Course;

  constructor(program: BoxProgram, course: Course) {
    this.program = program;
    this.course = course;
    this.everyKey = [new Stretch(zero, still(program.lengths.K))];
    this.extents = new Extents(program, course);
    this.preimages = new Preimages(this.extents, (slot, truth, keys) => this.possible(slot, truth, keys));
    this.ranks = ranksOf(this.extents);
  }

  /** Of `keys`, those for which the part can be so. */
  possible(slot: number, truth: boolean, keys: KeySet): KeySet {
    if (keys.length === 0) return keys;
    if (!this.extents.readsKey(slot)) return this.ofRow(slot, truth, keys);
    return this.program.reads[slot] === 2 ? this.ofKeys(slot, truth, keys) : this.solved(slot, truth, keys);
  }

  /** A part that reads k alone is solved once. */
  private ofKeys(slot: number, truth: boolean, keys: KeySet): KeySet {
    const { course } = this;
    const at = 2 * slot + Number(truth);
    let known = this.known[at];
    if (!known) {
      const before = course.approximate;
      course.approximate = false;
      const found = this.solved(slot, truth, this.everyKey);
      known = { keys: found, approximate: course.approximate };
      this.known[at] = known;
      course.approximate = before;
    }
    if (known.approximate) course.approximate = true;
    return joined(known.keys, keys, "and", course);
  }

  private solved(slot: number, truth: boolean, keys: KeySet): KeySet {
    const part = this.program.parts[slot]!;
    if (part.kind === "apply") {
      if (part.fn === "not") return this.possible(this.program.args[slot]![0]!, !truth, keys);
      if (part.fn === "and" || part.fn === "or")
        return (part.fn === "and") === truth
          ? this.all(this.operandsOf(slot, part.fn), truth, keys)
          : this.any(this.operandsOf(slot, part.fn), truth, keys);
      if (part.fn === "select") return this.chosen(this.program.args[slot]!, truth, keys);
      if (part.fn in comparisons)
        return this.preimages.inEach(keys, (window) => this.compared(slot, part.fn, truth, window));
    }
    return this.preimages.inEach(keys, (window) => {
      const found = this.nonZero(slot, truth, window);
      if (this.preimages.used > 1) this.course.approximate = true;
      return found;
    });
  }

  /** A part that does not read k: all keys or none. */
  private ofRow(slot: number, truth: boolean, keys: KeySet): KeySet {
    const answer = this.extents.truth(this.extents.of(slot, keys[0]!));
    if (!isPoint(answer)) {
      this.preimages.used++;
      return keys;
    }
    return (answer.lo.at === 1) === truth ? keys : [];
  }

  /** Operands of nested `and` or `or`, cheap ones first; bounds of one and the same part of k are one group. */
  private operandsOf(slot: number, join: "and" | "or"): readonly Operand[] {
    let found = this.operands.get(slot);
    if (!found) {
      const groups = new Map<string, number[]>();
      const reached = new Set([slot]);
      for (const next of reached) {
        const part = this.program.parts[next]!;
        if (part.kind === "apply" && part.fn === join) for (const arg of this.program.args[next]!) reached.add(arg);
        else {
          const bounded = this.boundedPart(next);
          const key = bounded === undefined ? `${next}` : `part ${bounded}`;
          groups.set(key, [...(groups.get(key) ?? []), next]);
        }
      }
      const rank = (operand: Operand) => this.ranks[operand[0]!]!;
      found = [...groups.values()].sort((x, y) => rank(x) - rank(y) || x[0]! - y[0]!);
      this.operands.set(slot, found);
    }
    return found;
  }

  /** The part of k, other than k itself, of an inequality that bounds it. */
  private boundedPart(slot: number): number | undefined {
    const { program, preimages } = this;
    const part = program.parts[slot]!;
    const sum = program.sums[slot];
    if (part.kind !== "apply" || !(part.fn in rays) || !sum || !preimages.isAlwaysNumber(slot)) return undefined;
    const only = preimages.partOf(sum);
    if (!only || program.parts[only[0]]!.kind === "index" || program.integral[only[0]] !== 1) return undefined;
    return only[0];
  }

  private ofOperand(operand: Operand, truth: boolean, join: "all" | "any", keys: KeySet): KeySet {
    if (operand.length === 1) return this.possible(operand[0]!, truth, keys);
    return this.preimages.inEach(keys, (window) => this.bounded(operand, truth, join, window));
  }

  /** All (or any) of several bounds of one part: a stretch of its values (or what is outside of one). */
  private bounded(slots: readonly number[], truth: boolean, join: "all" | "any", window: Stretch): KeySet {
    const { course, preimages, program } = this;
    let [low, high] = [still(-unbounded), still(unbounded)];
    let [below, above] = [low, high];
    for (const slot of slots) {
      const sum = program.sums[slot]!;
      const [from, to] = rays[(program.parts[slot] as { readonly fn: keyof typeof rays }).fn][Number(truth)]!;
      const left = preimages.lessRest(sum, between(from, to), window);
      if (!left) {
        course.approximate = true;
        if (join === "any") return [bare(window)];
        continue;
      }
      const { start, end } = divided(left, preimages.partOf(sum)![1], course);
      if (start.at > -unbounded) {
        low = course.max(low, start);
        above = course.min(above, start);
      }
      if (end.at < unbounded) {
        high = course.min(high, end);
        below = course.max(below, end);
      }
    }
    const part = preimages.partOf(program.sums[slots[0]!]!)![0];
    if (join === "any") {
      preimages.used = Math.min(1, preimages.used);
      return preimages.of(part, outside(below, above), window);
    }
    if (preimages.used > 1) course.approximate = true;
    return course.atLeast(low, high) ? [] : preimages.of(part, new Target(low, high), window);
  }

  private all(operands: readonly Operand[], truth: boolean, keys: KeySet): KeySet {
    const { preimages, course } = this;
    const before = preimages.used;
    let together = 0;
    let left = keys;
    for (const operand of operands) {
      preimages.used = 0;
      left = this.ofOperand(operand, truth, "all", left);
      if (preimages.used > 0) together++;
      if (left.length === 0) break;
    }
    // Each holds for some query, but perhaps not for the same.
    if (together > 1 && left.length > 0) course.approximate = true;
    preimages.used = before + Math.min(together, 1);
    return left;
  }

  private any(operands: readonly Operand[], truth: boolean, keys: KeySet): KeySet {
    const { preimages, course } = this;
    const before = preimages.used;
    let most = 0;
    let found: KeySet = [];
    let left = keys;
    for (const operand of operands) {
      preimages.used = 0;
      const more = this.ofOperand(operand, truth, "any", left);
      most = Math.max(most, preimages.used);
      if (more.length === 0) continue;
      found = joined(found, more, "or", course);
      left = joined(left, more, "andNot", course);
      if (left.length === 0) break;
    }
    preimages.used = before + most;
    return found;
  }

  private chosen([c, x, y]: readonly number[], truth: boolean, keys: KeySet): KeySet {
    const first = this.possible(x!, truth, this.possible(c!, true, keys));
    const second = this.possible(y!, truth, this.possible(c!, false, keys));
    if (this.preimages.used > 1) this.course.approximate = true;
    return joined(first, second, "or", this.course);
  }

  private compared(slot: number, fn: string, truth: boolean, window: Stretch): KeySet {
    const { preimages, program } = this;
    const sum = program.sums[slot];
    // Of NaN a comparison is false, but for inequality.
    const needsNumber = (fn === "notEqual") === truth;
    if (!sum || (needsNumber && !preimages.isNumber(slot, window))) return preimages.searched(slot, truth, window);
    const found = this.difference(fn, truth, (from, to, out) =>
      preimages.ofSum(sum, out ? outside(still(from), still(to)) : between(from, to), window),
    );
    if (preimages.used > 1) this.course.approximate = true;
    return found;
  }

  /** Where the difference of both sides of a comparison is as it must be. */
  private difference(fn: string, truth: boolean, solve: (from: number, to: number, outside?: true) => KeySet): KeySet {
    if (fn in rays) {
      const [from, to] = rays[fn as keyof typeof rays][Number(truth)]!;
      return solve(from, to);
    }
    return (fn === "equal") === truth ? solve(0, 1) : solve(0, 1, true);
  }

  private nonZero(slot: number, truth: boolean, window: Stretch): KeySet {
    const { preimages, program } = this;
    if (program.integral[slot] !== 1) return preimages.searched(slot, truth, window);
    if (!truth) return preimages.of(slot, between(0, 1), window);
    if (!preimages.isNumber(slot, window)) {
      this.course.approximate = true;
      return [bare(window)];
    }
    return preimages.of(slot, outside(zero, still(1)), window);
  }
}

/** Parts that read no k, then k as it is, in divisions, in tables, in remainders and what has to be searched. */
function ranksOf({ program }: Extents): Uint8Array {
  const ranks = new Uint8Array(program.parts.length);
  program.parts.forEach((part, slot) => {
    const args = program.args[slot]!;
    if ((program.reads[slot]! & 2) === 0) return;
    const division = program.divisions[slot];
    const own = division ? (division.kind === "quotient" ? 2 : 4) : part.kind === "lookup" ? 3 : 1;
    ranks[slot] = args.reduce((most, arg) => Math.max(most, ranks[arg]!), own);
  });
  return ranks;
}
