import { gcd } from "./slots.ts";

/**
 * An integer of a block row that moves by constant steps from row to row of a band. Rows of a band are counted at three
 * levels (t, u, w): the next row, and two longer periods; the number in row (t, u, w) is at + a·t + b·u + c·w.
 *
 * A class: object literals V8 copies in its runtime once a field of one was seen to hold a float, and some masks took twice
 * as long.
 */
export class Moving {
  readonly at: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;

  constructor(at: number, a: number, b: number, c: number) {
    this.at = at;
    this.a = a;
    this.b = b;
    this.c = c;
  }
}

/** Beyond every index: what is not bounded. */
export const unbounded = 2 ** 50;

export const still = (at: number): Moving => new Moving(at, 0, 0, 0);
export const zero = still(0);

export const plus = (x: Moving, y: Moving): Moving => new Moving(x.at + y.at, x.a + y.a, x.b + y.b, x.c + y.c);
export const minus = (x: Moving, y: Moving): Moving => new Moving(x.at - y.at, x.a - y.a, x.b - y.b, x.c - y.c);
export const moved = (x: Moving, by: number): Moving => (by === 0 ? x : new Moving(x.at + by, x.a, x.b, x.c));
export const times = (x: Moving, n: number): Moving =>
  n === 1 ? x : new Moving(small(x.at * n), small(x.a * n), small(x.b * n), small(x.c * n));

/** The number as V8 keeps small integers, never -0, which it would keep as a float. */
function small(x: number): number {
  const int = x | 0;
  return int === x ? int : x;
}

export const isStill = (x: Moving): boolean => x.a === 0 && x.b === 0 && x.c === 0;
/** Both are the same in every row of any band. */
export const isSame = (x: Moving, y: Moving): boolean => x.at === y.at && x.a === y.a && x.b === y.b && x.c === y.c;

/** Rows of a band at its three levels. */
export type Counts = readonly [number, number, number];

/**
 * What was decided about moving numbers while a row was looked at. Every decision holds in the row itself, and in as
 * many rows after as `rowsOf` says.
 */
export class Course {
  /** Forms that must stay ≥ 0, four numbers each. */
  private conditions = new Float64Array(1024);
  private slack = new Float64Array(256);
  private size = 0;
  private frozen = false;
  /** Some set is larger than it need be. Set by those who make sets, cleared by those who ask. */
  approximate = false;
  /** Periods, in steps of the first level, after which divisions would move by whole numbers. */
  readonly wanted = new Set<number>();

  restart(): void {
    this.size = 0;
    this.frozen = false;
  }

  /** What was decided holds in this row alone. */
  freeze(): void {
    this.frozen = true;
  }

  private require(at: number, a: number, b: number, c: number): void {
    if (this.size === this.conditions.length) {
      const larger = new Float64Array(2 * this.size);
      larger.set(this.conditions);
      this.conditions = larger;
      this.slack = new Float64Array(this.size / 2);
    }
    const { conditions, size } = this;
    conditions[size] = at;
    conditions[size + 1] = a;
    conditions[size + 2] = b;
    conditions[size + 3] = c;
    this.size = size + 4;
  }

  /** Whether x ≥ y, in all rows alike. */
  atLeast(x: Moving, y: Moving): boolean {
    const at = x.at - y.at;
    const a = x.a - y.a;
    const b = x.b - y.b;
    const c = x.c - y.c;
    if (at >= 0) {
      if (a < 0 || b < 0 || c < 0) this.require(at, a, b, c);
      return true;
    }
    if (a > 0 || b > 0 || c > 0) this.require(-at - 1, -a, -b, -c);
    return false;
  }

  less(x: Moving, y: Moving): boolean {
    return !this.atLeast(x, y);
  }

  max(x: Moving, y: Moving): Moving {
    return this.atLeast(x, y) ? x : y;
  }

  min(x: Moving, y: Moving): Moving {
    return this.atLeast(x, y) ? y : x;
  }

  /** ⌊x / n⌋ for n ≥ 1. Where a step is no multiple of n, the rows end where the answer would change. */
  floorDiv(x: Moving, n: number): Moving {
    if (n === 1) return x;
    if (Math.abs(x.at) >= unbounded) return still(x.at);
    const at = Math.floor(x.at / n);
    if (isStill(x)) return still(at);
    const rest = x.at - at * n;
    const a = x.a % n;
    const b = x.b % n;
    const c = x.c % n;
    if (a !== 0) this.wanted.add(n / gcd(n, a));
    if (a !== 0 || b !== 0 || c !== 0) {
      if (a < 0 || b < 0 || c < 0) this.require(rest, a, b, c);
      if (a > 0 || b > 0 || c > 0) this.require(n - 1 - rest, -a, -b, -c);
    }
    return new Moving(at, small((x.a - a) / n), small((x.b - b) / n), small((x.c - c) / n));
  }

  /** x - n·⌊x / n⌋. */
  residue(x: Moving, n: number): Moving {
    return minus(x, times(this.floorDiv(x, n), n));
  }

  /** The number itself, which is the same in all rows. */
  value(x: Moving): number {
    if (!isStill(x)) this.require(0, -Math.abs(x.a), -Math.abs(x.b), -Math.abs(x.c));
    return x.at;
  }

  /**
   * How many rows of each level what was decided holds in: `steps` are those of the levels in rows (0 for none), `room`
   * is how many rows there are after this one.
   */
  rowsOf(steps: Counts, room: number): Counts {
    if (this.frozen) return [1, 1, 1];
    const [near, far] = [this.counted(steps, room, Number.POSITIVE_INFINITY), this.counted(steps, room, 1)];
    return near[0] * near[1] * near[2] >= far[1] * far[2] ? near : far;
  }

  private counted(steps: Counts, room: number, mostOfFirst: number): Counts {
    const rows: [number, number, number] = [1, 1, 1];
    const { conditions, slack } = this;
    const count = this.size / 4;
    for (let i = 0; i < count; i++) slack[i] = conditions[4 * i]!;
    let left = room;
    for (let level = 0; level < 3; level++) {
      const step = steps[level]!;
      if (step === 0) continue;
      let most = Math.min(Math.floor(left / step) + 1, level === 0 ? mostOfFirst : Number.POSITIVE_INFINITY);
      const next = steps[level + 1] ?? 0;
      if (next > 0) most = Math.min(most, Math.floor(next / step));
      for (let i = 0; i < count; i++) {
        const by = conditions[4 * i + 1 + level]!;
        if (by < 0) most = Math.min(most, Math.floor(slack[i]! / -by) + 1);
      }
      most = Math.max(1, most);
      rows[level] = most;
      left -= (most - 1) * step;
      if (most > 1)
        for (let i = 0; i < count; i++) slack[i]! += Math.min(0, conditions[4 * i + 1 + level]! * (most - 1));
    }
    return rows;
  }
}
