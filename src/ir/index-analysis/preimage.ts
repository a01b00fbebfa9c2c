import { roundest } from "./bits.ts";
import type { Division } from "./division.ts";
import { type Extent, type Extents, isPoint } from "./extents.ts";
import { bare, joined, type KeySet, Stretch } from "./key-set.ts";
import { bySteps } from "./key-steps.ts";
import {
  type Course,
  isSame,
  isStill,
  type Moving,
  minus,
  moved,
  plus,
  still,
  times,
  unbounded,
  zero,
} from "./moving.ts";
import { type SlotSum, slotSum } from "./program.ts";
import { anything, canBeOther, canBeZero } from "./slots.ts";
import { type TablePieces, tablePieces } from "./table-pieces.ts";
import { between, boundsOf, divided, isOpen, lessRange, mirrored, multiplied, outside, Target } from "./target.ts";

/** Pieces of a table that are tried one by one. */
const mostPieces = 1024;
/** Boxes of queries and keys looked at where a part is none of those that are solved. */
const searchBudget = 256;

/**
 * Keys for which a part that reads k is of given values, for some query, head and batch of a row: never too few, and
 * none where it is NaN. `course.approximate` is set where they may be too many.
 */
export class Preimages {
  /** How many undecided parts of q, h and b were used: several at once are taken as if they were independent. */
  used = 0;
  readonly extents: Extents;
  private readonly course: Course;
  private readonly splits = new Map<SlotSum, Split>();
  private readonly possible: (slot: number, truth: boolean, keys: KeySet) => KeySet;

  /** `possible` answers the same for truths. */
  constructor(extents: Extents, possible: (slot: number, truth: boolean, keys: KeySet) => KeySet) {
    this.extents = extents;
    this.course = extents.course;
    this.possible = possible;
  }

  of(slot: number, target: Target, window: Stretch): KeySet {
    const { course, extents } = this;
    const { program } = extents;
    const part = program.parts[slot]!;
    if (part.kind === "index" && part.name === "k") return this.clipped(target, window);
    const sum = program.sums[slot];
    if (sum && program.integral[slot] === 1 && part.kind === "apply" && !isComparison(part.fn))
      return this.ofSum(sum, target, window);
    const division = extents.program.divisions[slot];
    if (division && extents.readsKey(slot)) return this.ofDivision(division, target, window);
    if (target.outside) return this.eitherSide(target, (side) => this.of(slot, side, window));
    if (!extents.readsKey(slot)) {
      if (!isOpen(target) && !extents.isDense(slot, window)) course.approximate = true;
      return this.ofRow(extents.of(slot, window), target, window);
    }
    if (part.kind === "lookup") return this.ofLookup(slot, target, window);
    if (part.kind !== "apply") return this.everything(window);
    const [x = 0, y = 0, z = 0] = program.args[slot]!;
    switch (part.fn) {
      case "floor":
      case "ceil":
      case "round":
      case "trunc":
        return program.integral[x] === 1 ? this.of(x, target, window) : this.searched(slot, target, window);
      case "abs": {
        const natural = new Target(course.max(target.start, zero), target.end, target.pattern);
        if (course.atLeast(natural.start, natural.end)) return [];
        if (target.end.at >= unbounded && !target.pattern)
          return this.of(x, outside(moved(times(natural.start, -1), 1), natural.start), window);
        if (isSame(natural.start, zero) && !target.pattern)
          return this.of(x, new Target(moved(times(natural.end, -1), 1), natural.end), window);
        return this.either(
          () => this.of(x, natural, window),
          () => this.of(x, mirrored(natural), window),
        );
      }
      case "min":
      case "max": {
        if (program.integral[slot] !== 1) return this.searched(slot, target, window);
        if (target.pattern) course.approximate = true;
        const other =
          part.fn === "min" ? new Target(target.start, still(unbounded)) : new Target(still(-unbounded), target.end);
        return this.either(
          () => this.both(x, target, y, other, window),
          () => this.both(y, target, x, other, window),
        );
      }
      case "select":
        if (program.integral[slot] !== 1) return this.searched(slot, target, window);
        return this.either(
          () => this.inEach(this.possible(x, true, [bare(window)]), (stretch) => this.of(y, target, stretch)),
          () => this.inEach(this.possible(x, false, [bare(window)]), (stretch) => this.of(z, target, stretch)),
        );
      default:
        return isTruth(part.fn) ? this.ofTruth(slot, target, window) : this.searched(slot, target, window);
    }
  }

  /** Outside of a stretch is below or above. */
  eitherSide({ start, end }: Target, solve: (side: Target) => KeySet): KeySet {
    if (this.course.atLeast(start, end)) return solve(between(-unbounded, unbounded));
    return this.either(
      () => solve(new Target(still(-unbounded), start)),
      () => solve(new Target(end, still(unbounded))),
    );
  }

  private everything(window: Stretch): KeySet {
    this.course.approximate = true;
    return [bare(window)];
  }

  private clipped(target: Target, window: Stretch): KeySet {
    const { course } = this;
    if (target.outside)
      return course.atLeast(target.start, target.end)
        ? [bare(window)]
        : joined([bare(window)], [bare(target)], "andNot", course);
    const start = course.max(target.start, window.start);
    const end = course.min(target.end, window.end);
    return course.atLeast(start, end) ? [] : [new Stretch(start, end, target.pattern)];
  }

  private ofRow(extent: Extent | undefined, { start, end, pattern }: Target, window: Stretch): KeySet {
    const { course } = this;
    if (!extent) return this.everything(window);
    if (!isPoint(extent)) this.used++;
    if (pattern) course.approximate = true;
    return course.less(extent.hi, start) || course.atLeast(extent.lo, end) ? [] : [bare(window)];
  }

  private ofTruth(slot: number, { start, end, pattern }: Target, window: Stretch): KeySet {
    const { course } = this;
    if (pattern) course.approximate = true;
    const holds = (value: number) => course.atLeast(still(value), start) && course.less(still(value), end);
    const [no, yes] = [holds(0), holds(1)];
    if (no && yes) return [bare(window)];
    return no || yes ? this.possible(slot, yes, [bare(window)]) : [];
  }

  /** Both ways, of which a key takes one: what they use is not used together. */
  either(one: () => KeySet, other: () => KeySet): KeySet {
    const before = this.used;
    this.used = 0;
    const x = one();
    const first = this.used;
    this.used = 0;
    const y = other();
    this.used = before + Math.max(first, this.used);
    return joined(x, y, "or", this.course);
  }

  private both(x: number, target: Target, y: number, other: Target, window: Stretch): KeySet {
    return this.inEach(this.of(x, target, window), (stretch) => this.of(y, other, stretch));
  }

  /** Solves in every stretch of a set; what patterns of the set leave out stays out. */
  inEach(keys: KeySet, solve: (window: Stretch) => KeySet): KeySet {
    if (keys.length === 1 && keys[0]!.pattern === undefined) return solve(keys[0]!);
    const before = this.used;
    let most = 0;
    const out: Stretch[] = [];
    for (const stretch of keys) {
      this.used = 0;
      const found = solve(stretch);
      most = Math.max(most, this.used);
      out.push(...(stretch.pattern === undefined ? found : joined(found, [stretch], "and", this.course)));
    }
    this.used = before + most;
    return out;
  }

  private splitOf(sum: SlotSum): Split {
    let split = this.splits.get(sum);
    if (!split) {
      const terms = Array.from(sum.of, (slot, t) => [slot, sum.by[t]!] as const).filter(([, by]) => by !== 0);
      const rest = terms.filter(([slot]) => !this.extents.readsKey(slot));
      split = { ofKeys: terms.filter((term) => !rest.includes(term)), others: slotSum(sum.constant, rest) };
      this.splits.set(sum, split);
    }
    return split;
  }

  /** Keys for which a sum is in the target. */
  ofSum(sum: SlotSum, target: Target, window: Stretch): KeySet {
    const left = this.lessRest(sum, target, window);
    if (left === undefined) return this.everything(window);
    const { ofKeys } = this.splitOf(sum);
    if (left.outside && this.course.atLeast(left.start, left.end)) {
      const { reads } = this.extents.program;
      if (ofKeys.some(([slot]) => (reads[slot]! & ~2) !== 0)) this.used++;
      return [bare(window)];
    }
    if (ofKeys.length === 0) {
      if (left.pattern) this.course.approximate = true;
      const inside = this.course.atLeast(zero, left.start) && this.course.less(zero, left.end);
      return inside === left.outside ? [] : [bare(window)];
    }
    if (ofKeys.length > 1) return bySteps(this, ofKeys, left, window);
    const [slot, c] = ofKeys[0]!;
    return this.of(slot, divided(left, c, this.course), window);
  }

  /** What the parts of a sum that read k must be for the whole to be in the target; undefined where it is not known. */
  lessRest(sum: SlotSum, target: Target, window: Stretch): Target | undefined {
    const { course, extents } = this;
    const { others } = this.splitOf(sum);
    const range = extents.ofSum(others, window);
    if (!range) return undefined;
    if (!isPoint(range)) {
      this.used++;
      const gaps = !isOpen(target) || target.pattern || target.outside;
      if (gaps && !extents.isDenseSum(others, window)) course.approximate = true;
    }
    return lessRange(target, range.lo, range.hi, course);
  }

  /** The one part that reads k of a sum, if it is one. */
  partOf(sum: SlotSum): readonly [slot: number, by: number] | undefined {
    const { ofKeys } = this.splitOf(sum);
    return ofKeys.length === 1 ? ofKeys[0] : undefined;
  }

  private ofDivision({ kind, of, by, offset }: Division, target: Target, window: Stretch): KeySet {
    const { course, extents } = this;
    if (kind === "quotient" && (by & (by - 1)) !== 0) return this.of(of, multiplied(target, by, offset), window);
    const x = extents.of(of, window);
    if (!x) return this.everything(window);
    const inBits = course.less(x.hi, still(2 ** 31)) && course.atLeast(x.lo, still(-(2 ** 31)));
    if (kind === "quotient" || kind === "residue") {
      if (!inBits) return this.everything(window);
      return kind === "quotient"
        ? this.of(of, multiplied(target, by, offset), window)
        : this.ofResidue(of, x, by, target, window);
    }
    const natural = course.atLeast(x.lo, zero);
    if (target.outside && !(natural && kind === "remainder"))
      return this.eitherSide(target, (side) => this.ofDivision({ kind, of, by, offset }, side, window));
    if (kind === "remainder")
      return natural ? this.ofResidue(of, x, by, target, window) : this.ofRemainder(of, by, target, window);
    if (natural) return this.of(of, multiplied(target, by, 0), window);
    if (target.pattern) course.approximate = true;
    const up = (value: Moving) =>
      course.atLeast(value, still(1)) ? times(value, by) : moved(times(moved(value, -1), by), 1);
    const open = (value: Moving) => (Math.abs(value.at) >= 2 ** 49 ? value : up(value));
    return this.of(of, new Target(open(target.start), open(target.end)), window);
  }

  /** JavaScript's remainder of what may be negative: r of x ≥ 0, r - n (or 0) of x < 0, for residues r. */
  private ofRemainder(of: number, n: number, { start, end, pattern }: Target, window: Stretch): KeySet {
    const { course } = this;
    if (pattern) course.approximate = true;
    const cut = (from: Moving, to: Moving) => new Target(course.max(start, from), course.min(end, to));
    const residues = (inside: Target, target: Target, by: number) =>
      course.atLeast(target.start, target.end)
        ? []
        : this.inEach(this.of(of, inside, window), (stretch) => {
            const x = this.extents.of(of, stretch);
            const moveBy = new Target(moved(target.start, by), moved(target.end, by));
            return x ? this.ofResidue(of, x, n, moveBy, stretch) : this.everything(stretch);
          });
    const zeros = cut(zero, still(1));
    // A multiple is one whatever its sign.
    const multiples = () => residues(between(-unbounded, unbounded), zeros, 0);
    const positive = () => residues(between(1, unbounded), cut(still(1), still(n)), 0);
    const negative = () => residues(between(-unbounded, 0), cut(still(1 - n), zero), n);
    return this.either(multiples, () => this.either(positive, negative));
  }

  /** x ≡ r (mod n) for some r of the target. */
  private ofResidue(of: number, x: Extent, n: number, target: Target, window: Stretch): KeySet {
    const { course } = this;
    const start = course.max(target.start, zero);
    const end = course.min(target.end, still(n));
    const { parts, args } = this.extents.program;
    const part = parts[of]!;
    const ends = isStill(start) && isStill(end) && !target.pattern ? [start.at, end.at] : [];
    const isSymmetric = (ends[0] === 0 && ends[1] === 1) || ends[0]! + ends[1]! === n + 1;
    // Of x and -x both are so, or none.
    const inner = part.kind === "apply" && part.fn === "abs" && isSymmetric ? args[of]![0]! : undefined;
    const y = inner === undefined ? undefined : this.extents.of(inner, window);
    if (inner !== undefined && y) return this.ofResidue(inner, y, n, target, window);
    if (target.outside && course.atLeast(start, end)) return [bare(window)];
    if (!target.outside && course.atLeast(start, end)) return [];
    const first = course.floorDiv(x.lo, n);
    if (course.atLeast(first, course.floorDiv(x.hi, n))) {
      const base = times(first, n);
      const [from, to] = [plus(base, start), plus(base, end)];
      if (target.outside) return this.of(of, outside(from, to), window);
      const pattern = target.pattern && { ...target.pattern, at: plus(target.pattern.at, base) };
      return this.of(of, new Target(from, to, pattern), window);
    }
    if (target.pattern) return this.everything(window);
    if (course.atLeast(zero, start) && course.atLeast(end, still(n))) return target.outside ? [] : [bare(window)];
    const width = course.value(minus(end, start));
    if (target.outside && width === n) return [];
    const pattern = target.outside
      ? { period: n, at: end, cuts: [0, n - width] }
      : { period: n, at: start, cuts: [0, width] };
    return this.of(of, new Target(still(-unbounded), still(unbounded), pattern), window);
  }

  private ofLookup(slot: number, target: Target, window: Stretch): KeySet {
    const { course, extents } = this;
    const { program } = extents;
    // Between two elements there is none.
    const whole = program.args[slot]!.every((arg) => program.integral[arg] === 1);
    if (target.pattern || !whole) course.approximate = true;
    const line = extents.piecesOf(slot, window);
    if (line) return this.ofPieces(line.pieces, line.of, target, window);
    const part = program.parts[slot]!;
    const table = part.kind === "lookup" ? program.formula.tables[part.table] : undefined;
    const args = program.args[slot]!;
    const axes = args.flatMap((arg, i) => (extents.readsKey(arg) ? [i] : []));
    if (table?.kind !== "constant" || axes.length !== 1) return this.searched(slot, target, window);
    // One line of the table for each value of the others.
    let at: number[][] = [[]];
    for (let i = 0; i < args.length; i++) {
      const extent = i === axes[0] ? { lo: zero, hi: zero } : extents.of(args[i]!, window);
      if (!extent || extent.lo.at < 0 || extent.hi.at >= table.dims[i]!) return this.searched(slot, target, window);
      const [lo, hi] = [course.value(extent.lo), course.value(extent.hi)];
      if ((hi - lo + 1) * at.length > 64) return this.searched(slot, target, window);
      if (hi > lo) this.used++;
      if (hi > lo && !extents.isDense(args[i]!, window)) course.approximate = true;
      at = at.flatMap((known) => Array.from({ length: hi - lo + 1 }, (_, t) => [...known, lo + t]));
    }
    let out: KeySet = [];
    for (const indices of at) {
      const pieces = tablePieces(table, axes[0]!, indices);
      if (!pieces) return this.searched(slot, target, window);
      out = joined(out, this.ofPieces(pieces, args[axes[0]!]!, target, window), "or", course);
    }
    return out;
  }

  private ofPieces(pieces: TablePieces, of: number, { start, end }: Target, window: Stretch): KeySet {
    const { course } = this;
    if (pieces.rising) {
      const from = this.firstAtLeast(pieces, start);
      const to = this.firstAtLeast(pieces, end);
      return course.atLeast(from, to) ? [] : this.of(of, new Target(from, to), window);
    }
    const { starts, values, steps } = pieces;
    if (values.length > mostPieces) return this.everything(window);
    let out: KeySet = [];
    let open: Target | undefined;
    const close = () => {
      if (open) out = joined(out, this.of(of, open, window), "or", course);
      open = undefined;
    };
    const before = this.used;
    let most = 0;
    for (let p = 0; p < values.length; p++) {
      this.used = 0;
      const first = still(starts[p]!);
      const beyond = still(starts[p + 1]!);
      const at = divided(new Target(moved(start, -values[p]!), moved(end, -values[p]!)), steps[p]! || 1, course);
      const holds = steps[p] !== 0 || (course.atLeast(still(values[p]!), start) && course.less(still(values[p]!), end));
      const from = steps[p] === 0 ? first : course.max(first, plus(first, at.start));
      const to = steps[p] === 0 ? beyond : course.min(beyond, plus(first, at.end));
      if (!holds || course.atLeast(from, to)) close();
      else if (open && open.end.at === from.at && steps[p] === 0) open = new Target(open.start, to);
      else {
        close();
        open = new Target(from, to);
      }
      most = Math.max(most, this.used);
    }
    this.used = 0;
    close();
    this.used = before + Math.max(most, this.used);
    return out;
  }

  /** The first index of a rising list at which it is at least a value. */
  private firstAtLeast({ starts, values, steps }: TablePieces, value: Moving): Moving {
    const { course } = this;
    const lastOf = (p: number) => values[p]! + steps[p]! * (starts[p + 1]! - 1 - starts[p]!);
    let [low, high] = [0, values.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lastOf(middle) >= value.at) high = middle;
      else low = middle + 1;
    }
    // Which piece it is, is decided by its ends.
    if (low > 0) course.less(still(lastOf(low - 1)), value);
    if (low < values.length) course.atLeast(still(lastOf(low)), value);
    if (low === values.length) return still(starts[low]!);
    const [first, step] = [still(values[low]!), steps[low]!];
    if (step === 0 || course.atLeast(first, value)) return still(starts[low]!);
    return moved(course.floorDiv(moved(minus(value, first), step - 1), step), starts[low]!);
  }

  /** Of a comparison: no key at all makes a side NaN. */
  isAlwaysNumber(slot: number): boolean {
    return this.extents.neverNaN[slot] === 1;
  }

  /** No key of the window makes the part NaN. */
  isNumber(slot: number, window: Stretch): boolean {
    const { program, neverNaN } = this.extents;
    if (neverNaN[slot] === 1) return true;
    const sum = program.sums[slot];
    if (sum) return sum.of.every((term) => this.extents.of(term, window) !== undefined);
    return this.extents.of(slot, window) !== undefined;
  }

  /** Keys for which the box program, asked about smaller and smaller boxes, does not exclude a truth or values. */
  searched(slot: number, want: Target | boolean, window: Stretch): KeySet {
    const { course, extents } = this;
    const { fromData, parts, reads } = extents.program;
    this.used++;
    if ((reads[slot]! & 1) !== 0 || !isStill(window.start) || !isStill(window.end)) course.freeze();
    if (typeof want !== "boolean" && !(isStill(want.start) && isStill(want.end))) course.freeze();
    if (fromData[slot] === 1) return this.everything(window);
    const isBits = parts.some((part) => part.kind === "apply" && part.fn.startsWith("bit"));
    const out: Stretch[] = [];
    const stack: [number, number][] = [[window.start.at, window.end.at]];
    let left = searchBudget;
    while (stack.length > 0) {
      const [first, end] = stack.pop()!;
      const stretch = new Stretch(still(first), still(end));
      extents.verdict(stretch);
      const [can, only] = this.answer(slot, want);
      if (!can) continue;
      if (!only && end - first > 1 && left-- > 0) {
        const middle = isBits ? roundest(first, end) : (first + end) >> 1;
        stack.push([middle, end], [first, middle]);
        continue;
      }
      if (!only) course.approximate = true;
      const last = out.at(-1);
      if (last && last.end.at === first) out[out.length - 1] = new Stretch(last.start, still(end));
      else out.push(stretch);
    }
    return out;
  }

  /** Whether the part can be as wanted over the box last asked about, and whether it is nothing else. */
  private answer(slot: number, want: Target | boolean): readonly [can: boolean, only: boolean] {
    const { slots } = this.extents.program;
    if (typeof want === "boolean") {
      const [other, none] = [canBeOther(slots, slot), canBeZero(slots, slot)];
      return want ? [other, !none] : [none, !other];
    }
    if (slots.mod[slot] === anything) return [true, false];
    const [lo, hi] = [slots.lo[slot]!, slots.hi[slot]!];
    const [start, end] = boundsOf(want);
    const can = hi >= start && lo < end;
    return [can, can && want.pattern === undefined && lo >= start && hi < end];
  }
}

/** A sum as what reads k and the rest. */
interface Split {
  readonly ofKeys: readonly (readonly [slot: number, by: number])[];
  readonly others: SlotSum;
}

const isComparison = (fn: string) => /^(less|greater|equal|notEqual)/.test(fn);
const isTruth = (fn: string) => isComparison(fn) || fn === "and" || fn === "or" || fn === "not";
