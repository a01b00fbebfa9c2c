import { type Pattern, Stretch, wrapped } from "./key-set.ts";
import { type Course, type Moving, minus, moved, still, times, unbounded } from "./moving.ts";

/** Values asked for, as a stretch of numbers, or what lies outside of it. Open ends are at ± `unbounded`. */
export class Target extends Stretch {
  readonly outside: boolean;

  constructor(start: Moving, end: Moving, pattern?: Pattern, outside = false) {
    super(start, end, pattern);
    this.outside = outside;
  }
}

const open = unbounded / 2;

/** What is far out stays where it is. */
const kept = (x: Moving, otherwise: (x: Moving) => Moving): Moving =>
  x.at >= open ? still(unbounded) : x.at <= -open ? still(-unbounded) : otherwise(x);

export const between = (start: number, end: number): Target => new Target(still(start), still(end));
export const isOpen = ({ start, end }: Target): boolean => start.at <= -open || end.at >= open;

/** Bounds in this row, as numbers. */
export const boundsOf = ({ start, end }: Target): readonly [start: number, end: number] => [
  start.at <= -open ? Number.NEGATIVE_INFINITY : start.at,
  end.at >= open ? Number.POSITIVE_INFINITY : end.at,
];

/** Values that are not in [start, end). */
export const outside = (start: Moving, end: Moving): Target => new Target(start, end, undefined, true);

/** Values x with x + r in the target for some r in [lo, hi]. */
export function lessRange(target: Target, lo: Moving, hi: Moving, course: Course): Target {
  const { start, end, pattern } = target;
  // Outside for some is not inside for all.
  if (target.outside) return outside(minus(start, lo), minus(end, hi));
  const from = kept(start, (x) => minus(x, hi));
  const to = kept(end, (x) => minus(x, lo));
  if (!pattern) return new Target(from, to);
  const width = course.value(minus(hi, lo));
  const at = minus(pattern.at, hi);
  // Where the pattern ends short of the numbers, what it is widened by may lie beyond.
  if (width !== 0 && !(start.at <= -open && end.at >= open)) course.approximate = true;
  if (width === 0) return new Target(from, to, { ...pattern, at });
  const cuts = wrapped(
    pattern.cuts.map((cut, t) => cut + (t % 2) * width),
    pattern.period,
  );
  return new Target(from, to, patternOf(pattern.period, at, cuts));
}

const patternOf = (period: number, at: Moving, cuts: readonly number[]): Pattern | undefined =>
  cuts.length === 2 && cuts[0] === 0 && cuts[1] === period ? undefined : { period, at, cuts };

/** Values -x of the target's x. */
export function mirrored(target: Target): Target {
  const { start, end, pattern } = target;
  if (target.outside) return outside(moved(times(end, -1), 1), moved(times(start, -1), 1));
  const turned = (x: Moving) => moved(times(x, -1), 1);
  // What is open stays so, on the other side.
  const from = end.at >= open ? still(-unbounded) : kept(end, turned);
  const to = start.at <= -open ? still(unbounded) : kept(start, turned);
  if (!pattern) return new Target(from, to);
  const cuts = pattern.cuts.map((cut) => pattern.period - cut).reverse();
  return new Target(from, to, { period: pattern.period, at: turned(pattern.at), cuts });
}

/** Values x with c · x in the target, c ≠ 0. The pattern is left out, and `course.approximate` set, where |c| > 1. */
export function divided(target: Target, c: number, course: Course): Target {
  if (c < 0) return divided(mirrored(target), -c, course);
  if (c === 1) return target;
  if (target.pattern) course.approximate = true;
  const start = kept(target.start, (x) => course.floorDiv(moved(x, c - 1), c));
  const end = kept(target.end, (x) => moved(course.floorDiv(moved(x, -1), c), 1));
  return new Target(start, end, undefined, target.outside);
}

/** Values x with ⌊(x + offset) / n⌋ in the target. */
export function multiplied(target: Target, n: number, offset: number): Target {
  const { start, end, pattern } = target;
  const up = (x: Moving) => moved(times(x, n), -offset);
  if (target.outside) return outside(up(start), up(end));
  const cuts = pattern?.cuts.map((cut) => cut * n);
  const spread = pattern && cuts && { period: pattern.period * n, at: up(pattern.at), cuts };
  return new Target(kept(start, up), kept(end, up), spread);
}
