import { type Course, isSame, type Moving, minus, moved, plus, still, times } from "./moving.ts";
import { gcd } from "./slots.ts";

/** Numbers that repeat: those x with (x - at) mod period in one of the cuts [first, end) of [0, period), in order. */
export interface Pattern {
  readonly period: number;
  readonly at: Moving;
  readonly cuts: readonly number[];
}

/** The numbers start … end - 1; of them those of the pattern, where there is one. */
export class Stretch {
  readonly start: Moving;
  readonly end: Moving;
  readonly pattern: Pattern | undefined;

  constructor(start: Moving, end: Moving, pattern?: Pattern) {
    this.start = start;
    this.end = end;
    this.pattern = pattern;
  }
}

/** Stretches in order that do not overlap. */
export type KeySet = readonly Stretch[];

export const bare = ({ start, end }: Stretch): Stretch => new Stretch(start, end);

type Join = "and" | "or" | "andNot";

/** Cuts a common pattern may have; beyond, sets are made larger than they are. */
const mostCuts = 512;

/** x ∧ y, x ∨ y or x ∧ ¬y. Never too small; `course.approximate` is set where it may be too large. */
export function joined(x: KeySet, y: KeySet, join: Join, course: Course): KeySet {
  if (x.length === 0) return join === "or" ? y : x;
  if (y.length === 0) return join === "and" ? y : x;
  const [ofX, ofY] = [x.find(hasPattern)?.pattern, y.find(hasPattern)?.pattern];
  if (ofX && ofY && !moveTogether(ofX, ofY)) {
    // One of them as plain stretches, where it has few.
    const longer = ofX.period >= ofY.period ? plain(x, course) : plain(y, course);
    if (longer) return ofX.period >= ofY.period ? joined(longer, y, join, course) : joined(x, longer, join, course);
  }
  return swept(x, y, join, course);
}

export const hasPattern = ({ pattern }: Stretch) => pattern !== undefined;

/** What one pattern is to the other is the same in all rows, and has not too many cuts. */
function moveTogether(x: Pattern, y: Pattern): boolean {
  const { a, b, c } = minus(y.at, x.at);
  const common = (x.period / gcd(x.period, y.period)) * y.period;
  const cuts = (common / x.period) * x.cuts.length + (common / y.period) * y.cuts.length;
  return a % y.period === 0 && b % y.period === 0 && c % y.period === 0 && cuts <= 2 * mostCuts;
}

/** Stretches a pattern is written out in, where another moves otherwise. */
const mostPlain = 32;

/** The set without patterns; undefined where that is many stretches. */
function plain(set: KeySet, course: Course, most = mostPlain): KeySet | undefined {
  const out: Stretch[] = [];
  for (const stretch of set) {
    const { start, end, pattern } = stretch;
    if (!pattern) {
      push(out, start, end, undefined, course);
      continue;
    }
    const { period, at, cuts } = pattern;
    const from = course.floorDiv(minus(start, at), period);
    const to = course.floorDiv(minus(moved(end, -1), at), period);
    const limit = Math.floor((2 * (most - out.length)) / cuts.length);
    if (course.atLeast(minus(to, from), still(limit))) return undefined;
    const count = course.value(minus(to, from)) + 1;
    for (let n = 0; n < count; n++) {
      const base = plusTimes(at, from, n, period);
      for (let t = 0; t < cuts.length; t += 2) {
        const [first, beyond] = [moved(base, cuts[t]!), moved(base, cuts[t + 1]!)];
        // Only the first and the last period can reach beyond the stretch.
        const cutFirst = n === 0 ? course.max(start, first) : first;
        push(out, cutFirst, n === count - 1 ? course.min(end, beyond) : beyond, undefined, course);
      }
    }
  }
  return out;
}

function swept(x: KeySet, y: KeySet, join: Join, course: Course): KeySet {
  const out: Stretch[] = [];
  let [i, j] = [0, 0];
  // Where of x[i] and y[j] what lies before was dealt with.
  let [xs, ys] = [x[0]!.start, y[0]!.start];
  const nextX = () => {
    if (++i < x.length) xs = x[i]!.start;
  };
  const nextY = () => {
    if (++j < y.length) ys = y[j]!.start;
  };
  while (i < x.length && j < y.length) {
    const [p, r] = [x[i]!, y[j]!];
    if (course.atLeast(ys, p.end)) {
      if (join !== "and") push(out, xs, p.end, p.pattern, course);
      nextX();
    } else if (course.atLeast(xs, r.end)) {
      if (join === "or") push(out, ys, r.end, r.pattern, course);
      nextY();
    } else {
      const yFirst = course.atLeast(xs, ys);
      if (!yFirst || !isSame(xs, ys)) {
        if (yFirst) {
          if (join === "or") push(out, ys, xs, r.pattern, course);
          ys = xs;
        } else {
          if (join !== "and") push(out, xs, ys, p.pattern, course);
          xs = ys;
        }
      }
      const xEnds = course.atLeast(r.end, p.end);
      const end = xEnds ? p.end : r.end;
      const pattern = joinedPattern(p.pattern, r.pattern, join, course);
      if (pattern !== "none") push(out, xs, end, pattern, course);
      xs = end;
      ys = end;
      if (xEnds) nextX();
      if (!xEnds || course.atLeast(p.end, r.end)) nextY();
    }
  }
  for (; i < x.length && join !== "and"; nextX()) push(out, xs, x[i]!.end, x[i]!.pattern, course);
  for (; j < y.length && join === "or"; nextY()) push(out, ys, y[j]!.end, y[j]!.pattern, course);
  return out;
}

/** Appends a stretch where it is not empty, joined to the last where they touch. */
function push(out: Stretch[], start: Moving, end: Moving, pattern: Pattern | undefined, course: Course): void {
  if (course.atLeast(start, end)) return;
  const last = out.at(-1);
  if (last && isSame(last.end, start) && samePattern(last.pattern, pattern))
    out[out.length - 1] = new Stretch(last.start, end, pattern);
  else out.push(new Stretch(start, end, pattern));
}

const samePattern = (x: Pattern | undefined, y: Pattern | undefined) =>
  x === y || (x !== undefined && y !== undefined && x.period === y.period && isSame(x.at, y.at) && x.cuts === y.cuts);

function joinedPattern(
  x: Pattern | undefined,
  y: Pattern | undefined,
  join: Join,
  course: Course,
): Pattern | undefined | "none" {
  if (x === undefined && y === undefined) return join === "andNot" ? "none" : undefined;
  if (join === "or" && (x === undefined || y === undefined)) return undefined;
  if (y === undefined) return join === "and" ? x : "none";
  if (x === undefined && join === "and") return y;
  const one = x ?? { period: y.period, at: y.at, cuts: [0, y.period] };
  const period = (one.period / gcd(one.period, y.period)) * y.period;
  const count = (one.cuts.length * period) / one.period + (y.cuts.length * period) / y.period;
  if (count > 2 * mostCuts) {
    course.approximate = true;
    return join === "or" ? undefined : x;
  }
  const offset = course.value(course.residue(minus(y.at, one.at), y.period));
  const cuts = joinedCuts(repeated(one.cuts, one.period, 0, period), repeated(y.cuts, y.period, offset, period), join);
  if (cuts.length === 0) return "none";
  return cuts.length === 2 && cuts[0] === 0 && cuts[1] === period ? undefined : { period, at: one.at, cuts };
}

/** Cuts of one period, moved by an offset in [0, of) and repeated over `period`. */
function repeated(cuts: readonly number[], of: number, offset: number, period: number): number[] {
  if (offset === 0 && of === period) return [...cuts];
  const out: number[] = [];
  for (let base = offset - of; base < period; base += of)
    for (let t = 0; t < cuts.length; t += 2) {
      const first = Math.max(0, base + cuts[t]!);
      const end = Math.min(period, base + cuts[t + 1]!);
      if (first >= end) continue;
      if (out.length > 0 && out.at(-1)! >= first) out[out.length - 1] = Math.max(out.at(-1)!, end);
      else out.push(first, end);
    }
  return out;
}

function joinedCuts(x: readonly number[], y: readonly number[], join: Join): number[] {
  const out: number[] = [];
  let [i, j] = [0, 0];
  let inside = false;
  while (i < x.length || j < y.length) {
    const at = Math.min(x[i] ?? Number.POSITIVE_INFINITY, y[j] ?? Number.POSITIVE_INFINITY);
    while (x[i] === at) i++;
    while (y[j] === at) j++;
    const [inX, inY] = [i % 2 === 1, j % 2 === 1];
    const now = join === "and" ? inX && inY : join === "or" ? inX || inY : inX && !inY;
    if (now !== inside) out.push(at);
    inside = now;
  }
  return out;
}

/** Cuts that may overlap and go beyond the period, as cuts of [0, period). */
export function wrapped(cuts: readonly number[], period: number): number[] {
  let out: number[] = [];
  for (let t = 0; t < cuts.length; t += 2) {
    const [first, end] = [cuts[t]!, cuts[t + 1]!];
    if (end - first >= period) return [0, period];
    const base = Math.floor(first / period) * period;
    const [from, to] = [first - base, end - base];
    out = joinedCuts(out, [from, Math.min(to, period)], "or");
    if (to > period) out = joinedCuts(out, [0, to - period], "or");
  }
  return out;
}

/** Periods a stretch is written out for, one after the other. */
const writtenOut = 4;

/** The blocks of `size` numbers that hold a number of the set. */
export function blocksOf(set: KeySet, size: number, course: Course): KeySet {
  const out: Stretch[] = [];
  for (const { start, end, pattern } of set) {
    const first = course.floorDiv(start, size);
    const last = course.floorDiv(moved(end, -1), size);
    if (pattern === undefined || everyBlock(pattern, size)) {
      if (pattern === undefined) pushBlocks(out, first, moved(last, 1), undefined, course);
      else {
        // Only of the blocks at the ends it is not known.
        edge(out, start, course.min(end, times(moved(first, 1), size)), pattern, size, course);
        pushBlocks(out, moved(first, 1), last, undefined, course);
        if (course.less(first, last)) edge(out, times(last, size), end, pattern, size, course);
      }
    } else patternBlocks(out, start, end, pattern, size, course);
  }
  return out;
}

/**
 * The blocks of `size` of the numbers below `length` that hold none but of the set. Never too few; `course.approximate`
 * is set where there may be too many.
 */
export function wholeBlocksOf(found: KeySet, size: number, length: number, course: Course): KeySet {
  const set = found.some(hasPattern) ? (plain(found, course) ?? found) : found;
  const out: Stretch[] = [];
  const beyond = still(Math.ceil(length / size) * size);
  for (let i = 0; i < set.length; i++) {
    let { start, end, pattern } = set[i]!;
    let isShort = pattern !== undefined && longestCut(pattern) < size;
    // What touches may be whole together.
    for (; i + 1 < set.length && course.atLeast(end, set[i + 1]!.start); i++) {
      end = set[i + 1]!.end;
      pattern ??= set[i + 1]!.pattern;
      isShort = false;
    }
    // The last block may be cut short.
    if (i + 1 === set.length && beyond.at !== length && course.atLeast(end, still(length))) {
      if (isShort) start = moved(beyond, -size);
      end = beyond;
    } else if (isShort) continue;
    if (course.less(minus(end, start), still(size))) continue;
    if (pattern) course.approximate = true;
    push(out, course.floorDiv(moved(start, size - 1), size), course.floorDiv(end, size), undefined, course);
  }
  return out;
}

/** The most numbers of a pattern that follow each other. */
function longestCut({ period, cuts }: Pattern): number {
  let longest = 0;
  for (let t = 0; t < cuts.length; t += 2) longest = Math.max(longest, cuts[t + 1]! - cuts[t]!);
  return cuts[0] === 0 && cuts.at(-1) === period ? 2 * longest : longest;
}

/** Appends blocks, of which the first may be the last there already. */
function pushBlocks(out: Stretch[], from: Moving, end: Moving, pattern: Pattern | undefined, course: Course): void {
  const last = out.at(-1);
  const start = last && course.less(from, last.end) ? last.end : from;
  push(out, start, end, pattern, course);
}

/** The pattern leaves no room for a block without one of it. */
function everyBlock({ period, cuts }: Pattern, size: number): boolean {
  let gap = cuts[0]! + period - cuts.at(-1)!;
  for (let t = 1; t + 1 < cuts.length; t += 2) gap = Math.max(gap, cuts[t + 1]! - cuts[t]!);
  return gap < size;
}

/** The block of [start, end), which all lies in one, if it holds one of the pattern. */
function edge(out: Stretch[], start: Moving, end: Moving, pattern: Pattern, size: number, course: Course): void {
  if (course.atLeast(start, end)) return;
  const block = course.floorDiv(start, size);
  const phase = course.value(course.residue(minus(start, pattern.at), pattern.period));
  const { cuts, period } = pattern;
  let distance = period - phase + cuts[0]!;
  for (let t = 0; t < cuts.length; t += 2)
    if (cuts[t + 1]! > phase) {
      distance = Math.max(0, cuts[t]! - phase);
      break;
    }
  if (course.less(moved(start, distance), end)) pushBlocks(out, block, moved(block, 1), undefined, course);
}

function patternBlocks(
  out: Stretch[],
  start: Moving,
  end: Moving,
  pattern: Pattern,
  size: number,
  course: Course,
): void {
  const { period, at, cuts } = pattern;
  const long = (period / gcd(period, size)) * size;
  const first = course.floorDiv(start, size);
  const last = course.floorDiv(moved(end, -1), size);
  const many = course.atLeast(minus(end, start), still(writtenOut * long));
  if (!many || (long / period) * cuts.length > 2 * mostCuts) {
    const written = plain([new Stretch(start, end, pattern)], course, Number.MAX_SAFE_INTEGER)!;
    for (const one of written)
      pushBlocks(
        out,
        course.floorDiv(one.start, size),
        moved(course.floorDiv(moved(one.end, -1), size), 1),
        undefined,
        course,
      );
    return;
  }
  const anchor = course.floorDiv(at, size);
  const rest = course.value(minus(at, times(anchor, size)));
  const touched: number[] = [];
  for (let base = rest; base < long + rest; base += period)
    for (let t = 0; t < cuts.length; t += 2)
      touched.push(Math.floor((base + cuts[t]!) / size), Math.floor((base + cuts[t + 1]! - 1) / size) + 1);
  const blocks = long / size;
  const blockCuts = wrapped(touched, blocks);
  const all = blockCuts.length === 2 && blockCuts[0] === 0 && blockCuts[1] === blocks;
  edge(out, start, times(moved(first, 1), size), pattern, size, course);
  pushBlocks(out, moved(first, 1), last, all ? undefined : { period: blocks, at: anchor, cuts: blockCuts }, course);
  edge(out, times(last, size), end, pattern, size, course);
}

const plusTimes = (at: Moving, from: Moving, n: number, period: number): Moving =>
  plus(at, times(moved(from, n), period));
