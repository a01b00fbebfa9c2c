import { type Pattern, type Stretch, wrapped } from "./key-set.ts";
import { type Course, type Moving, minus, moved, plus, still, times, unbounded } from "./moving.ts";

/** Values asked for, as a stretch of numbers: open ends are at ± `unbounded`. */
export type Target = Stretch;

const open = unbounded / 2;

/** What is far out stays where it is. */
const kept = (x: Moving, otherwise: (x: Moving) => Moving): Moving =>
  x.at >= open ? still(unbounded) : x.at <= -open ? still(-unbounded) : otherwise(x);

export const between = (start: number, end: number): Target => ({ start: still(start), end: still(end) });
export const isOpen = ({ start, end }: Target): boolean => start.at <= -open || end.at >= open;

/** Values x with x + r in the target for some r in [lo, hi]. */
export function lessRange({ start, end, pattern }: Target, lo: Moving, hi: Moving, course: Course): Target {
  const range = {
    start: kept(start, (x) => minus(x, hi)),
    end: kept(end, (x) => minus(x, lo)),
  };
  if (!pattern) return range;
  const width = course.value(minus(hi, lo));
  const at = minus(pattern.at, hi);
  if (width === 0) return { ...range, pattern: { ...pattern, at } };
  const cuts = wrapped(
    pattern.cuts.map((cut, t) => cut + (t % 2) * width),
    pattern.period,
  );
  return { ...range, pattern: patternOf(pattern.period, at, cuts) };
}

const patternOf = (period: number, at: Moving, cuts: readonly number[]): Pattern | undefined =>
  cuts.length === 2 && cuts[0] === 0 && cuts[1] === period ? undefined : { period, at, cuts };

/** Values -x of the target's x. */
export function mirrored({ start, end, pattern }: Target): Target {
  const range = {
    start: kept(end, (x) => moved(times(x, -1), 1)),
    end: kept(start, (x) => moved(times(x, -1), 1)),
  };
  // kept() leaves far ends on their side.
  const turned = {
    start: end.at >= open ? still(-unbounded) : range.start,
    end: start.at <= -open ? still(unbounded) : range.end,
  };
  if (!pattern) return turned;
  const cuts = pattern.cuts.map((cut) => pattern.period - cut).reverse();
  return { ...turned, pattern: { period: pattern.period, at: moved(times(pattern.at, -1), 1), cuts } };
}

/** Values x with c · x in the target, c ≠ 0. The pattern is left out, and `course.approximate` set, where |c| > 1. */
export function divided(target: Target, c: number, course: Course): Target {
  if (c < 0) return divided(mirrored(target), -c, course);
  if (c === 1) return target;
  if (target.pattern) course.approximate = true;
  return {
    start: kept(target.start, (x) => course.floorDiv(moved(x, c - 1), c)),
    end: kept(target.end, (x) => moved(course.floorDiv(moved(x, -1), c), 1)),
  };
}

/** Values x with ⌊(x + offset) / n⌋ in the target. */
export function multiplied({ start, end, pattern }: Target, n: number, offset: number): Target {
  const up = (x: Moving) => moved(times(x, n), -offset);
  const range = { start: kept(start, up), end: kept(end, up) };
  if (!pattern) return range;
  return {
    ...range,
    pattern: { period: pattern.period * n, at: up(pattern.at), cuts: pattern.cuts.map((cut) => cut * n) },
  };
}

export const moveTarget = ({ start, end, pattern }: Target, by: Moving): Target => ({
  start: kept(start, (x) => plus(x, by)),
  end: kept(end, (x) => plus(x, by)),
  pattern: pattern && { ...pattern, at: plus(pattern.at, by) },
});
