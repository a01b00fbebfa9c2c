import { indexFunctions } from "../index-expr/functions.ts";
import type { Division } from "./division.ts";
import type { Stretch } from "./key-set.ts";
import { type Course, isSame, isStill, type Moving, minus, moved, plus, still, times, zero } from "./moving.ts";
import type { BoxProgram, SlotSum } from "./program.ts";
import { anything } from "./slots.ts";
import { pieceAt, type TablePieces, tablePieces } from "./table-pieces.ts";

/** A part is an integer in [lo, hi], never NaN. Where it may not take both ends, `course.approximate` is set. */
export interface Extent {
  readonly lo: Moving;
  readonly hi: Moving;
}

/** Elements of a table along one axis, and the slot of its index. */
interface Line {
  readonly pieces: TablePieces;
  readonly of: number;
}

/** Queries, heads and batches a row is looked at for. */
export interface Rows {
  readonly first: Moving;
  readonly last: Moving;
  readonly h: readonly [number, number];
  readonly b: readonly [number, number];
}

const yes: Extent = { lo: still(1), hi: still(1) };
const no: Extent = { lo: zero, hi: zero };
const either: Extent = { lo: zero, hi: still(1) };

export const isPoint = ({ lo, hi }: Extent): boolean => isSame(lo, hi);

/** Integers that fit into 32 bits with their sign, which bit operators leave as they are. */
const bits = 2 ** 31;

/** Sums of integers up to here, with coefficients as they are allowed, are exact in float64. */
const exact = 2 ** 28;

/** Bounds of the parts of a formula over the queries of a block row and a stretch of keys. */
export class Extents {
  /** Parts that are finite numbers whatever the indices. */
  readonly neverNaN: Uint8Array;
  private rows: Rows = { first: zero, last: zero, h: [0, 0], b: [0, 0] };
  /** Lookups of lists, which are the same line in every row. */
  private readonly lists = new Map<number, Line | undefined>();
  private readonly known: (Extent | undefined)[];
  private readonly stamps: Int32Array;
  private readonly rough: Uint8Array;
  private stamp = 0;
  private ofRows = 0;
  private from: Moving = zero;
  private to: Moving = zero;

  readonly program: BoxProgram;
  readonly course: Course;

  constructor(program: BoxProgram, course: Course) {
    this.program = program;
    this.course = course;
    this.neverNaN = numbersOf(program);
    this.known = new Array(program.parts.length).fill(undefined);
    this.stamps = new Int32Array(program.parts.length).fill(-1);
    this.rough = new Uint8Array(program.parts.length);
  }

  lookAt(rows: Rows): void {
    const { h, b } = this.rows;
    if (rows.h[0] !== h[0] || rows.h[1] !== h[1] || rows.b[0] !== b[0] || rows.b[1] !== b[1])
      this.program.over(rows.b, rows.h);
    this.rows = rows;
    this.ofRows = ++this.stamp;
  }

  get lookedAt(): Rows {
    return this.rows;
  }

  readsKey(slot: number): boolean {
    return (this.program.reads[slot]! & 2) !== 0;
  }

  /** Bounds of a part; undefined where it may be no integer. */
  of(slot: number, window: Stretch): Extent | undefined {
    const { course } = this;
    const before = course.approximate;
    if (this.readsKey(slot)) {
      // Of parts that read k bounds are only asked where larger ones would do.
      if (window.start !== this.from || window.end !== this.to) {
        this.from = window.start;
        this.to = window.end;
        this.stamp++;
      }
      const { stamp } = this;
      if (this.stamps[slot] === stamp) return this.known[slot];
      const found = this.found(slot, window);
      course.approximate = before;
      // What it is made of may have been asked for elsewhere.
      if (stamp === this.stamp) {
        this.known[slot] = found;
        this.stamps[slot] = stamp;
      }
      return found;
    }
    if (this.stamps[slot]! < this.ofRows) {
      course.approximate = false;
      this.known[slot] = this.found(slot, window);
      this.rough[slot] = Number(course.approximate);
      this.stamps[slot] = this.ofRows;
      course.approximate = before;
    }
    if (this.rough[slot] === 1) course.approximate = true;
    return this.known[slot];
  }

  /** Bounds of a sum. */
  ofSum({ constant, of, by }: SlotSum, window: Stretch): Extent | undefined {
    const { course } = this;
    let lo = still(constant);
    let hi = lo;
    let undecided = 0;
    for (let t = 0; t < of.length; t++) {
      const term = this.of(of[t]!, window);
      // Larger sums might be rounded.
      if (!term || course.less(term.lo, still(-exact)) || course.less(still(exact), term.hi)) return undefined;
      const c = by[t]!;
      if (c !== 0 && !isPoint(term)) undecided++;
      lo = plus(lo, times(c < 0 ? term.hi : term.lo, c));
      hi = plus(hi, times(c < 0 ? term.lo : term.hi, c));
    }
    if (undecided > 1) course.approximate = true;
    return { lo, hi };
  }

  private found(slot: number, window: Stretch): Extent | undefined {
    const { program, rows } = this;
    const part = program.parts[slot]!;
    const args = program.args[slot]!;
    switch (part.kind) {
      case "number":
        return Number.isInteger(part.value) ? this.point(still(part.value)) : undefined;
      case "length":
        return this.point(still(program.lengths[part.name]));
      case "index":
        if (part.name === "q") return { lo: rows.first, hi: rows.last };
        if (part.name === "k") return { lo: window.start, hi: moved(window.end, -1) };
        return { lo: still(rows[part.name][0]), hi: still(rows[part.name][1]) };
      case "score":
        return undefined;
      case "lookup":
        return this.ofLookup(slot, window);
      case "apply": {
        const sum = program.sums[slot];
        if (sum) {
          const total = this.ofSum(sum, window);
          if (!(part.fn in compares)) return total;
          return total
            ? this.compared(part.fn as keyof typeof compares, sum, total, window)
            : this.numeric(slot, window);
        }
        const division = this.program.divisions[slot];
        if (division) return this.ofDivision(division, window);
        return this.applied(slot, part.fn, args, window);
      }
    }
  }

  private point(at: Moving): Extent {
    return { lo: at, hi: at };
  }

  private applied(slot: number, fn: string, args: readonly number[], window: Stretch): Extent | undefined {
    const { course } = this;
    const [x, y, z] = args.map((arg) => this.of(arg, window));
    if (fn === "and" || fn === "or" || fn === "not") return this.logic(fn, x, y);
    if (fn === "select") {
      const truth = this.truth(x);
      if (isPoint(truth)) return truth.lo.at === 0 ? z : y;
      course.approximate = true;
      return y && z && { lo: course.min(y.lo, z.lo), hi: course.max(y.hi, z.hi) };
    }
    if (!x || (args.length > 1 && !y)) return this.numeric(slot, window);
    if (args.length > 1 && !isPoint(x) && !isPoint(y!)) course.approximate = true;
    switch (fn) {
      case "floor":
      case "ceil":
      case "round":
      case "trunc":
        return x;
      case "abs": {
        if (course.atLeast(x.lo, zero)) return x;
        const below = times(x.lo, -1);
        if (course.atLeast(zero, x.hi)) return { lo: times(x.hi, -1), hi: below };
        // 0 may be left out.
        if (!this.isDense(args[0]!, window)) course.approximate = true;
        return { lo: zero, hi: course.max(below, x.hi) };
      }
      case "min":
        return { lo: course.min(x.lo, y!.lo), hi: course.min(x.hi, y!.hi) };
      case "max":
        return { lo: course.max(x.lo, y!.lo), hi: course.max(x.hi, y!.hi) };
      default:
        return this.numeric(slot, window);
    }
  }

  private compared(fn: keyof typeof compares, sum: SlotSum, total: Extent, window: Stretch): Extent {
    const answer = compares[fn](total, this.course);
    const onlyAtZero = fn === "equal" || fn === "notEqual";
    if (onlyAtZero && answer === either && !this.isDenseSum(sum, window)) this.course.approximate = true;
    return answer;
  }

  private logic(fn: "and" | "or" | "not", a: Extent | undefined, b: Extent | undefined): Extent {
    const [x, y] = [this.truth(a), fn === "not" ? no : this.truth(b)];
    if (fn === "not") return x === either ? either : x === yes ? no : yes;
    const strong = fn === "and" ? no : yes;
    if (x === strong || y === strong) return strong;
    if (x === either && y === either) this.course.approximate = true;
    return x === either || y === either ? either : fn === "and" ? yes : no;
  }

  /** Whether a part is not 0. */
  truth(extent: Extent | undefined): Extent {
    const { course } = this;
    const answer = extent ? truthOf(extent, course) : either;
    // Whether 0 is among the values of a number is not known.
    if (answer === either && !(extent && isSame(extent.lo, zero) && isSame(extent.hi, still(1))))
      course.approximate = true;
    return answer;
  }

  private ofDivision({ kind, of, by, offset }: Division, window: Stretch): Extent | undefined {
    const x = this.of(of, window);
    if (!x) return undefined;
    const { course } = this;
    const isBits = kind === "residue" || (kind === "quotient" && (by & (by - 1)) === 0);
    if (isBits && !(course.less(x.hi, still(bits)) && course.atLeast(x.lo, still(-bits)))) return undefined;
    const [lo, hi] = [moved(x.lo, offset), moved(x.hi, offset)];
    const [first, last] = [course.floorDiv(lo, by), course.floorDiv(hi, by)];
    if (kind === "quotient") return { lo: first, hi: last };
    const natural = course.atLeast(lo, zero);
    if (kind === "towardsZero") {
      if (natural) return { lo: first, hi: last };
      const up = (value: Moving) => (course.atLeast(value, zero) ? value : moved(value, by - 1));
      return { lo: course.floorDiv(up(lo), by), hi: course.floorDiv(up(hi), by) };
    }
    if (kind === "residue" || natural) {
      if (!course.atLeast(first, last)) {
        if (!this.isDense(of, window)) course.approximate = true;
        return { lo: zero, hi: still(by - 1) };
      }
      return { lo: minus(lo, times(first, by)), hi: minus(hi, times(first, by)) };
    }
    if (
      course.atLeast(zero, hi) &&
      course.atLeast(course.floorDiv(moved(lo, -1), by), course.floorDiv(moved(hi, -1), by))
    ) {
      const base = times(moved(course.floorDiv(moved(hi, -1), by), 1), by);
      return { lo: minus(lo, base), hi: minus(hi, base) };
    }
    course.approximate = true;
    return { lo: course.max(still(1 - by), lo), hi: course.atLeast(zero, hi) ? zero : course.min(still(by - 1), hi) };
  }

  /** The pieces of a lookup of which all indices but one have one value; with the slot of that one. */
  piecesOf(slot: number, window: Stretch): Line | undefined {
    const { program, course } = this;
    if (this.lists.has(slot)) return this.lists.get(slot);
    const part = program.parts[slot]!;
    if (part.kind !== "lookup") return undefined;
    const table = program.formula.tables[part.table];
    if (table?.kind !== "constant") return undefined;
    const args = program.args[slot]!;
    if (args.length === 1) {
      const pieces = tablePieces(table, 0, [0]);
      this.lists.set(slot, pieces && { pieces, of: args[0]! });
      return this.lists.get(slot);
    }
    let axis = args.findIndex((arg) => this.readsKey(arg));
    const at: number[] = [];
    for (let i = 0; i < args.length; i++) {
      if (i === axis) {
        at.push(0);
        continue;
      }
      const index = this.of(args[i]!, window);
      if (!index) return undefined;
      if (axis < 0 && (!isPoint(index) || !isStill(index.lo))) {
        axis = i;
        at.push(0);
        continue;
      }
      if (!isPoint(index)) return undefined;
      const value = course.value(index.lo);
      if (!(value >= 0 && value < table.dims[i]!)) return undefined;
      at.push(value);
    }
    if (axis < 0) axis = args.length - 1;
    const pieces = tablePieces(table, axis, at);
    return pieces && { pieces, of: args[axis]! };
  }

  private ofLookup(slot: number, window: Stretch): Extent | undefined {
    const { course } = this;
    const line = this.piecesOf(slot, window);
    if (!line) return this.numeric(slot, window);
    const { pieces } = line;
    const at = this.of(line.of, window);
    if (!at || !course.atLeast(at.lo, zero) || !course.less(at.hi, still(pieces.length))) return undefined;
    const [first, last] = [this.element(pieces, at.lo), this.element(pieces, at.hi)];
    if (pieces.rising) return { lo: first, hi: last };
    if (pieces.falling) return { lo: last, hi: first };
    if (pieceAt(pieces, at.lo.at) === pieceAt(pieces, at.hi.at))
      return pieces.steps[pieceAt(pieces, at.lo.at)]! >= 0 ? { lo: first, hi: last } : { lo: last, hi: first };
    if (isStill(at.lo) && isStill(at.hi)) return this.numeric(slot, window);
    course.approximate = true;
    return { lo: still(pieces.least), hi: still(pieces.greatest) };
  }

  /** The element at a moving index, which stays in its piece. */
  private element({ starts, values, steps }: TablePieces, at: Moving): Moving {
    const p = pieceAt({ starts } as TablePieces, at.at);
    const { course } = this;
    if (!isStill(at)) {
      course.atLeast(at, still(starts[p]!));
      course.less(at, still(starts[p + 1]!));
    }
    return moved(times(moved(at, -starts[p]!), steps[p]!), values[p]!);
  }

  /** Bounds by the box program, which hold in this row alone. */
  numeric(slot: number, window: Stretch): Extent | undefined {
    const { slots, integral, reads } = this.program;
    if (integral[slot] !== 1) return undefined;
    const windowMoves = !isStill(window.start) || !isStill(window.end);
    if ((reads[slot]! & 1) !== 0 || ((reads[slot]! & 2) !== 0 && windowMoves)) this.course.freeze();
    this.verdict(window);
    if (slots.mod[slot] === anything) return undefined;
    if (slots.mod[slot] !== 0) this.course.approximate = true;
    return { lo: still(slots.lo[slot]!), hi: still(slots.hi[slot]!) };
  }

  /** Asks the box program about the queries and a stretch of keys as they are in this row. */
  verdict({ start, end }: Stretch): ReturnType<BoxProgram["verdict"]> {
    return this.program.verdict(this.rows.first.at, this.rows.last.at, start.at, end.at - 1);
  }

  /** The part takes every integer of its extent, where it depends on one index only. */
  isDense(slot: number, window: Stretch): boolean {
    const { program } = this;
    const part = program.parts[slot]!;
    if (part.kind === "index") return true;
    const extent = this.of(slot, window);
    if (extent && isPoint(extent)) return true;
    if (part.kind !== "apply") return false;
    const sum = program.sums[slot];
    if (sum) return this.isDenseSum(sum, window);
    const division = this.program.divisions[slot];
    if (division) {
      const of = this.of(division.of, window);
      if (!of || !extent || !this.isDense(division.of, window)) return false;
      if (division.kind === "quotient") return true;
      const { course } = this;
      // Either it does not wrap, or it takes all there are.
      const whole = course.atLeast(minus(of.hi, of.lo), still(division.by - 1));
      return course.atLeast(of.lo, zero) && (whole || isSame(minus(of.hi, of.lo), minus(extent.hi, extent.lo)));
    }
    if (part.fn === "abs" || part.fn === "min" || part.fn === "max")
      return program.args[slot]!.every((arg) => this.isDense(arg, window));
    return program.integral[slot] === 1 && "and or not".split(" ").includes(part.fn);
  }

  isDenseSum({ of, by }: SlotSum, window: Stretch): boolean {
    let undecided = 0;
    for (let t = 0; t < of.length; t++) {
      const extent = this.of(of[t]!, window);
      if (extent && isPoint(extent)) continue;
      if (undecided++ > 0 || Math.abs(by[t]!) !== 1 || !this.isDense(of[t]!, window)) return false;
    }
    return true;
  }
}

/** Whether an integer is not 0. */
function truthOf({ lo, hi }: Extent, course: Course): Extent {
  if (course.less(hi, zero) || course.less(zero, lo)) return yes;
  return course.atLeast(lo, zero) && course.atLeast(zero, hi) ? no : either;
}

/** Comparisons of a difference with 0. */
const compares = {
  less: ({ lo, hi }: Extent, course: Course) => (course.less(hi, zero) ? yes : course.atLeast(lo, zero) ? no : either),
  lessEqual: ({ lo, hi }: Extent, course: Course) =>
    course.atLeast(zero, hi) ? yes : course.less(zero, lo) ? no : either,
  greater: ({ lo, hi }: Extent, course: Course) =>
    course.less(zero, lo) ? yes : course.atLeast(zero, hi) ? no : either,
  greaterEqual: ({ lo, hi }: Extent, course: Course) =>
    course.atLeast(lo, zero) ? yes : course.less(hi, zero) ? no : either,
  equal: (difference: Extent, course: Course) => {
    const other = truthOf(difference, course);
    return other === yes ? no : other === no ? yes : either;
  },
  notEqual: (difference: Extent, course: Course) => truthOf(difference, course),
} as const;

const total = new Set("add sub mul neg min max abs floor ceil round trunc sign select".split(" "));

function numbersOf({ parts, args, divisions }: BoxProgram): Uint8Array {
  const found = new Uint8Array(parts.length);
  parts.forEach((part, slot) => {
    if (part.kind === "number") found[slot] = Number(Number.isFinite(part.value));
    else if (part.kind === "index" || part.kind === "length") found[slot] = 1;
    else if (part.kind === "apply") {
      const division = divisions[slot];
      const { truth, bits } = indexFunctions[part.fn];
      const of = division ? [division.of] : args[slot]!;
      found[slot] = Number(
        bits === true ||
          ((truth === true || division !== undefined || total.has(part.fn)) && of.every((arg) => found[arg] === 1)),
      );
    }
  });
  return found;
}
