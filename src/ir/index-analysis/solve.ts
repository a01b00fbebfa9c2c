import { Extents, isPoint, truthOf } from "./extents.ts";
import { joined, type KeySet, type Stretch } from "./key-set.ts";
import { type Course, still, unbounded, zero } from "./moving.ts";
import { bare, Preimages } from "./preimage.ts";
import type { BoxProgram } from "./program.ts";
import { between, outside } from "./target.ts";
import { comparisons } from "./transfer.ts";

/**
 * Keys for which a part of a mask can be true (or false) for some query, head and batch of a row: never too few.
 * `course.approximate` is set where they may be too many.
 */
export class Solver {
  readonly extents: Extents;
  readonly preimages: Preimages;
  /** How costly parts are to solve: what narrows the keys at little cost is asked first. */
  private readonly ranks: Uint8Array;
  private readonly operands = new Map<number, readonly number[]>();
  private readonly everyKey: KeySet;
  private readonly known: ({ readonly keys: KeySet; readonly approximate: boolean } | undefined)[] = [];

  readonly program: BoxProgram;
  readonly course: Course;

  constructor(program: BoxProgram, course: Course) {
    this.program = program;
    this.course = course;
    this.everyKey = [{ start: zero, end: still(program.lengths.K) }];
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
      if (part.fn in comparisons) return this.preimages.inEach(keys, (window) => this.compared(slot, part.fn, truth, window));
    }
    return this.preimages.inEach(keys, (window) => this.nonZero(slot, truth, window));
  }

  /** A part that does not read k: all keys or none. */
  private ofRow(slot: number, truth: boolean, keys: KeySet): KeySet {
    const extent = this.extents.of(slot, keys[0]!);
    const answer = extent && truthOf(extent, this.course);
    if (!answer || !isPoint(answer)) {
      this.preimages.used++;
      if (!answer) this.course.approximate = true;
      return keys;
    }
    return (answer.lo.at === 1) === truth ? keys : [];
  }

  private operandsOf(slot: number, join: "and" | "or"): readonly number[] {
    let found = this.operands.get(slot);
    if (!found) {
      const flat: number[] = [];
      const stack = [slot];
      while (stack.length > 0) {
        const next = stack.pop()!;
        const part = this.program.parts[next]!;
        if (part.kind === "apply" && part.fn === join) stack.push(...this.program.args[next]!);
        else flat.push(next);
      }
      flat.sort((x, y) => this.ranks[x]! - this.ranks[y]! || x - y);
      this.operands.set(slot, (found = flat));
    }
    return found;
  }

  private all(slots: readonly number[], truth: boolean, keys: KeySet): KeySet {
    const { preimages, course } = this;
    const before = preimages.used;
    let together = 0;
    let left = keys;
    for (const slot of slots) {
      preimages.used = 0;
      left = this.possible(slot, truth, left);
      if (preimages.used > 0) together++;
      if (left.length === 0) break;
    }
    // Each holds for some query, but perhaps not for the same.
    if (together > 1 && left.length > 0) course.approximate = true;
    preimages.used = before + Math.min(together, 1);
    return left;
  }

  private any(slots: readonly number[], truth: boolean, keys: KeySet): KeySet {
    const { preimages, course } = this;
    const before = preimages.used;
    let most = 0;
    let found: KeySet = [];
    let left = keys;
    for (const slot of slots) {
      preimages.used = 0;
      const more = this.possible(slot, truth, left);
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
    switch (fn) {
      case "less":
        return truth ? solve(-unbounded, 0) : solve(0, unbounded);
      case "lessEqual":
        return truth ? solve(-unbounded, 1) : solve(1, unbounded);
      case "greater":
        return truth ? solve(1, unbounded) : solve(-unbounded, 1);
      case "greaterEqual":
        return truth ? solve(0, unbounded) : solve(-unbounded, 0);
      default:
        if ((fn === "equal") === truth) return solve(0, 1);
        return solve(0, 1, true);
    }
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
function ranksOf({ program, divisions }: Extents): Uint8Array {
  const ranks = new Uint8Array(program.parts.length);
  program.parts.forEach((part, slot) => {
    const args = program.args[slot]!;
    if ((program.reads[slot]! & 2) === 0) return;
    const division = divisions[slot];
    const own = division ? (division.kind === "quotient" ? 2 : 4) : part.kind === "lookup" ? 3 : 1;
    ranks[slot] = args.reduce((most, arg) => Math.max(most, ranks[arg]!), own);
  });
  return ranks;
}
