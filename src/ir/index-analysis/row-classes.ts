import { bisect, type Range } from "./classify.ts";
import { isPoint, type Rows } from "./extents.ts";
import { blocksOf, hasPattern, joined, type KeySet, Stretch, wholeBlocksOf } from "./key-set.ts";
import { nextStep } from "./key-steps.ts";
import { type Counts, type Course, isSame, Moving, moved, still, times, zero } from "./moving.ts";
import type { BoxProgram } from "./program.ts";
import { Solver } from "./solve.ts";

/** Blocks of a row by class. Those in none are empty. */
export interface Classes {
  readonly full: KeySet;
  readonly partial: KeySet;
  /** Partial for want of knowledge. */
  readonly unproven: KeySet;
}

interface Found {
  readonly keys: KeySet;
  /** All of them are such. */
  readonly exact: boolean;
  /** All of them are such for every query of the slice. */
  readonly alike: boolean;
}

/** Pieces a row of blocks is cut into where parts of q step. */
const mostSlices = 4;
/** Undecided blocks looked into one by one, over all rows. */
const proofBudget = 100_000;

/** Classes of the blocks of rows, as sets that move with the rows of a band. */
export class RowClasses {
  private readonly solver: Solver;
  private readonly program: BoxProgram;
  private readonly course: Course;
  private readonly size: number;
  private readonly h: Range;
  private readonly b: Range;
  private readonly keys: KeySet;
  private readonly columns: KeySet;
  private readonly steppers: readonly number[];
  private readonly fromData: boolean;
  private proofs = proofBudget;

  constructor(program: BoxProgram, course: Course, size: number, h: Range, b: Range) {
    this.solver = new Solver(program, course);
    this.program = program;
    this.course = course;
    this.size = size;
    this.h = h;
    this.b = b;
    this.keys = [new Stretch(zero, still(program.lengths.K))];
    this.columns = [new Stretch(zero, still(Math.ceil(program.lengths.K / size)))];
    this.steppers = steppersOf(this.solver, size);
    this.fromData = program.fromData[program.parts.length - 1] === 1;
  }

  /** Classes of row `i`; the course knows for which rows more of the bands with these steps they hold. */
  of(i: number, steps: Counts): Classes {
    const { course, size } = this;
    course.restart();
    const by = steps.map((step) => step * size);
    const first = new Moving(i * size, by[0]!, by[1]!, by[2]!);
    const last = moved(first, Math.min(size, this.program.lengths.Q - i * size) - 1);
    const slices = this.slices({ first, last, h: this.h, b: this.b });
    let touched: KeySet = [];
    let whole = this.columns;
    const does: [KeySet, KeySet] = [[], []];
    let isExact = true;
    const note = (truth: 0 | 1, { keys, exact }: Found) => {
      const blocks = blocksOf(keys, size, course);
      if (exact) does[truth] = joined(does[truth], blocks, "or", course);
      else isExact = false;
      return blocks;
    };
    const { K } = this.program.lengths;
    const unsure: Rows[] = [];
    for (const slice of slices) {
      const found = this.found(slice, true, this.keys);
      touched = joined(touched, note(1, found), "or", course);
      // A block that one query does not see whole is not full: where each sees others, one is asked.
      const apart = !found.alike && found.keys.some(hasPattern);
      const { keys } = apart ? this.found(endsOf(slice)[0]!, true, this.keys) : found;
      course.approximate = false;
      const wholeHere = wholeBlocksOf(keys, size, K, course);
      if (!found.alike || course.approximate) unsure.push(slice);
      whole = whole === this.columns ? wholeHere : joined(whole, wholeHere, "and", course);
    }
    // What is empty need not be looked at again.
    if (touched.length === 0) return { full: [], partial: [], unproven: [] };
    let holed: KeySet = [];
    for (const slice of whole.length > 0 ? unsure : [])
      holed = joined(holed, note(0, this.found(slice, false, this.keysOf(whole))), "or", course);
    const full = joined(whole, holed, "andNot", course);
    const partial = joined(touched, full, "andNot", course);
    if (isExact) return { full, partial, unproven: [] };
    does[0] = joined(does[0], joined(touched, whole, "andNot", course), "or", course);
    const open = this.witnessed(slices, partial, does);
    return open.length === 0 ? { full, partial, unproven: [] } : this.looked(i, { full, partial }, open);
  }

  /** Keys for which the mask can be so for some query of the slice. */
  private found(slice: Rows, truth: boolean, among: KeySet): Found {
    const { course, solver, program } = this;
    solver.extents.lookAt(slice);
    course.approximate = false;
    solver.preimages.used = 0;
    const keys = solver.possible(program.parts.length - 1, truth, among);
    const exact = !course.approximate;
    return { keys, exact, alike: exact && solver.preimages.used === 0 };
  }

  /** Of the blocks that can be mixed, those not proven to be by the first and last query of each slice. */
  private witnessed(slices: readonly Rows[], mixed: KeySet, does: [KeySet, KeySet]): KeySet {
    const { course } = this;
    const left = () => joined(mixed, joined(does[0], does[1], "and", course), "andNot", course);
    let open = left();
    for (const slice of slices)
      for (const rows of endsOf(slice)) {
        if (open.length === 0) return open;
        for (const truth of [0, 1] as const) {
          const unseen = joined(open, does[truth], "andNot", course);
          if (unseen.length === 0) continue;
          const { keys, exact } = this.found(rows, truth === 1, this.keysOf(unseen));
          if (exact) does[truth] = joined(does[truth], blocksOf(keys, this.size, course), "or", course);
        }
        open = left();
      }
    return open;
  }

  private keysOf(blocks: KeySet): KeySet {
    const { size, course } = this;
    const whole = blocks.map(
      ({ start, end, pattern }) =>
        new Stretch(
          times(start, size),
          times(end, size),
          pattern && {
            period: pattern.period * size,
            at: times(pattern.at, size),
            cuts: pattern.cuts.map((cut) => cut * size),
          },
        ),
    );
    return joined(whole, this.keys, "and", course);
  }

  /** What is still open is looked at block by block, in this row alone. */
  private looked(i: number, known: Omit<Classes, "unproven">, open: KeySet): Classes {
    const { course } = this;
    course.freeze();
    const [full, empty, unproven]: [Stretch[], Stretch[], Stretch[]] = [[], [], []];
    for (const j of numbersOf(open)) {
      const found = this.classOf(i, j);
      const at = new Stretch(still(j), still(j + 1));
      if (found === "unproven") unproven.push(at);
      else if (found !== "partial") (found === "full" ? full : empty).push(at);
    }
    const without = (set: KeySet, these: KeySet) => joined(set, these, "andNot", course);
    return {
      full: joined(known.full, full, "or", course),
      partial: without(without(without(known.partial, full), empty), unproven),
      unproven,
    };
  }

  private classOf(i: number, j: number): "full" | "partial" | "empty" | "unproven" {
    if (this.fromData || this.proofs-- <= 0) return "unproven";
    const { program, size, h, b } = this;
    const { Q, K } = program.lengths;
    program.over(b, h);
    const box = [i * size, Math.min((i + 1) * size, Q) - 1, j * size, Math.min((j + 1) * size, K) - 1];
    const found = bisect(program, [...box, ...h, ...b]);
    program.over(b, h);
    return found.class === "partial" && found.because !== "proven" ? "unproven" : found.class;
  }

  /** Cuts the queries of a row where parts of q alone step: within a slice these have one value, or move evenly. */
  private slices(rows: Rows): readonly Rows[] {
    const { course, solver } = this;
    const out: Rows[] = [];
    let first = rows.first;
    while (out.length + 1 < mostSlices) {
      let end = moved(rows.last, 1);
      solver.extents.lookAt({ ...rows, first, last: first });
      for (const slot of this.steppers) {
        const next = nextStep(solver.extents, slot, new Stretch(first, end));
        if (next && course.less(first, next)) end = course.min(end, next);
      }
      if (isSame(end, moved(rows.last, 1)) || course.atLeast(end, moved(rows.last, 1))) break;
      out.push({ ...rows, first, last: moved(end, -1) });
      first = end;
    }
    return [...out, { ...rows, first }];
  }
}

/** Single queries, heads and batches at the ends of a slice. */
function endsOf({ first, last, h, b }: Rows): readonly Rows[] {
  const one = (q: Moving, at: 0 | 1): Rows => ({ first: q, last: q, h: [h[at], h[at]], b: [b[at], b[at]] });
  const ends = [one(first, 0), one(last, 1)];
  if (isPoint({ lo: first, hi: last }) && h[0] === h[1] && b[0] === b[1]) return ends.slice(1);
  return h[0] === h[1] && b[0] === b[1] ? ends : [...ends, one(first, 1), one(last, 0)];
}

function* numbersOf(set: KeySet): Generator<number> {
  for (const { start, end, pattern } of set)
    for (let j = start.at; j < end.at; j++) {
      if (!pattern) yield j;
      else {
        const phase = j - pattern.at.at;
        const inside = phase - Math.floor(phase / pattern.period) * pattern.period;
        for (let t = 0; t < pattern.cuts.length; t += 2)
          if (inside >= pattern.cuts[t]! && inside < pattern.cuts[t + 1]!) yield j;
      }
    }
}

/** Divisions of q by what is not much less than a block, and tables looked up at q. */
function steppersOf({ program, extents }: Solver, size: number): readonly number[] {
  const isQuery = (slot: number) => {
    const part = program.parts[slot]!;
    if (part.kind === "index") return part.name === "q";
    const sum = program.sums[slot];
    const [only] = sum?.of ?? [];
    const term = only === undefined ? undefined : program.parts[only];
    return sum !== undefined && sum.of.length === 1 && sum.by[0] === 1 && term?.kind === "index" && term.name === "q";
  };
  return program.parts.flatMap((part, slot) => {
    const division = extents.program.divisions[slot];
    if (division) return division.by * mostSlices >= size && isQuery(division.of) ? [slot] : [];
    return part.kind === "lookup" && program.args[slot]!.length === 1 && isQuery(program.args[slot]![0]!) ? [slot] : [];
  });
}
