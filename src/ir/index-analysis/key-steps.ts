import { type Extent, type Extents, isPoint } from "./extents.ts";
import { bare, type KeySet, Stretch } from "./key-set.ts";
import { type Moving, minus, moved, plus, still, times, zero } from "./moving.ts";
import { type SlotSum, slotSum } from "./program.ts";
import { pieceAt } from "./table-pieces.ts";
import { divided, lessRange, type Target } from "./target.ts";

type Terms = readonly (readonly [slot: number, by: number])[];

/** Solves for one part that reads k; see `Preimages`. */
interface PartSolver {
  readonly extents: Extents;
  used: number;
  of(slot: number, target: Target, window: Stretch): KeySet;
  inEach(keys: KeySet, solve: (window: Stretch) => KeySet): KeySet;
}

/** What is known of terms beforehand: sums of all but one, and the parts that step. */
interface Plan {
  readonly others: readonly SlotSum[];
  readonly steppers: readonly number[];
}

const plans = new WeakMap<Terms, Plan>();

function planOf(extents: Extents, terms: Terms): Plan {
  let plan = plans.get(terms);
  if (!plan) {
    const others = terms.map((term) =>
      slotSum(
        0,
        terms.filter((other) => other !== term),
      ),
    );
    plans.set(
      terms,
      (plan = {
        others,
        steppers: steppersOf(
          extents,
          terms.map(([slot]) => slot),
        ),
      }),
    );
  }
  return plan;
}

const isDecided = (extent: Extent | undefined): boolean => extent !== undefined && isPoint(extent);

/** Pieces a stretch of keys is cut into. */
const mostPieces = 32;

/**
 * Keys for which a sum of several parts that read k is in the target. Each part alone, the others anywhere within
 * their bounds, narrows the keys; what is left is cut where a part steps, until one part is left that moves.
 */
export function bySteps(preimages: PartSolver, terms: Terms, target: Target, window: Stretch): KeySet {
  const { extents } = preimages;
  const { course } = extents;
  const isOneLeft = terms.filter(([slot]) => !isDecided(extents.of(slot, window))).length <= 1;
  if (isOneLeft) return ofOneLeft(preimages, terms, target, window);
  const before = preimages.used;
  const rough = course.approximate;
  let keys: KeySet = [bare(window)];
  const { others, steppers } = planOf(extents, terms);
  for (let i = 0; i < terms.length && keys.length <= mostPieces; i++) {
    const [slot, by] = terms[i]!;
    keys = preimages.inEach(keys, (stretch) => {
      const rest = extents.ofSum(others[i]!, stretch);
      const left = rest && lessRange(target, rest.lo, rest.hi, course);
      if (!left || (left.outside && course.atLeast(left.start, left.end))) return [bare(stretch)];
      return preimages.of(slot, divided(left, by, course), stretch);
    });
  }
  course.approximate = rough;
  preimages.used = before;
  const pieces = keys.length > mostPieces ? undefined : cut(extents, keys, steppers);
  if (!pieces) {
    course.approximate = true;
    preimages.used = before + 1;
    return keys;
  }
  return preimages.inEach(pieces, (piece) => ofOneLeft(preimages, terms, target, piece));
}

/** The same where parts that have one value, or move with k, are put into the target. */
function ofOneLeft(preimages: PartSolver, terms: Terms, target: Target, piece: Stretch): KeySet {
  const { extents } = preimages;
  const { course } = extents;
  const key = extents.program.parts.findIndex((part) => part.kind === "index" && part.name === "k");
  const left: (readonly [number, number])[] = [];
  let ofKey = 0;
  let sum: Moving = zero;
  for (const [slot, by] of terms) {
    const extent = extents.of(slot, piece);
    if (extent && isPoint(extent)) {
      sum = plus(sum, times(extent.lo, by));
      continue;
    }
    const slope = slopeOf(extents, slot, piece);
    if (extent && slope !== undefined) {
      ofKey += slope * by;
      // At the first key of the piece the part is at its low end where it rises.
      sum = plus(sum, times(minus(slope > 0 ? extent.lo : extent.hi, times(piece.start, slope)), by));
    } else left.push([slot, by]);
  }
  if (ofKey !== 0) left.push([key, ofKey]);
  const rest = lessRange(target, sum, sum, course);
  if (left.length === 0) {
    const inside = course.atLeast(zero, rest.start) && course.less(zero, rest.end);
    return inside !== rest.outside ? [bare(piece)] : [];
  }
  if (rest.outside && course.atLeast(rest.start, rest.end)) return [bare(piece)];
  if (left.length > 1) {
    course.approximate = true;
    return [bare(piece)];
  }
  const [slot, by] = left[0]!;
  return preimages.of(slot, divided(rest, by, course), piece);
}

/** How far a part moves per key of a stretch in which it moves evenly, and with k alone. */
function slopeOf(extents: Extents, slot: number, piece: Stretch): number | undefined {
  const { program, course } = extents;
  if ((program.reads[slot]! & ~2) !== 0) return undefined;
  const part = program.parts[slot]!;
  if (part.kind === "index") return 1;
  const sum = program.sums[slot];
  if (sum) {
    let slope = 0;
    for (let t = 0; t < sum.of.length; t++) {
      const extent = extents.of(sum.of[t]!, piece);
      if (extent && isPoint(extent)) continue;
      const by = slopeOf(extents, sum.of[t]!, piece);
      if (by === undefined) return undefined;
      slope += by * sum.by[t]!;
    }
    return slope === 0 ? undefined : slope;
  }
  const division = program.divisions[slot];
  if (division && (division.kind === "residue" || division.kind === "remainder")) {
    const x = extents.of(division.of, piece);
    const slope = slopeOf(extents, division.of, piece);
    if (!x || slope === undefined || course.less(x.lo, zero)) return undefined;
    const wraps = course.less(course.floorDiv(x.lo, division.by), course.floorDiv(x.hi, division.by));
    return wraps ? undefined : slope;
  }
  const line = part.kind === "lookup" ? extents.piecesOf(slot, piece) : undefined;
  if (!line) return undefined;
  const x = extents.of(line.of, piece);
  const slope = slopeOf(extents, line.of, piece);
  if (!x || slope === undefined || course.less(x.lo, zero) || course.atLeast(x.hi, still(line.pieces.length)))
    return undefined;
  const p = pieceAt(line.pieces, x.lo.at);
  course.atLeast(x.lo, still(line.pieces.starts[p]!));
  const inside = course.less(x.hi, still(line.pieces.starts[p + 1]!));
  return inside && line.pieces.steps[p] !== 0 ? slope * line.pieces.steps[p]! : undefined;
}

/** Stretches cut where a part that steps does so; undefined where those are too many. */
function cut(extents: Extents, keys: KeySet, steppers: readonly number[]): KeySet | undefined {
  const { course, program } = extents;
  const out: Stretch[] = [];
  // Where it is clear that they are too many none is made.
  const widest = steppers.reduce((most, slot) => Math.max(most, program.divisions[slot]?.by ?? 0), 0);
  const long = still((mostPieces + 1) * widest);
  if (widest > 0 && keys.some(({ start, end }) => course.atLeast(minus(end, start), long))) return undefined;
  for (const { start, end } of keys) {
    let from = start;
    while (course.less(from, end)) {
      if (out.length >= mostPieces) return undefined;
      let to = end;
      for (const slot of steppers) {
        const next = nextStep(extents, slot, new Stretch(from, end));
        if (next && course.less(from, next)) to = course.min(to, next);
      }
      out.push(new Stretch(from, to));
      from = to;
    }
  }
  return out;
}

/** Parts that step, of what the terms are made of: those closest to k, for the others step where they do. */
function steppersOf(extents: Extents, slots: readonly number[]): readonly number[] {
  const { program } = extents;
  const found = new Map<number, number>();
  const seen = new Set<number>();
  const stack = [...slots];
  while (stack.length > 0) {
    const slot = stack.pop()!;
    if (seen.has(slot) || !extents.readsKey(slot)) continue;
    seen.add(slot);
    const division = program.divisions[slot];
    if (division && isPlain(extents, division.of)) found.set(slot, division.by);
    else if (program.parts[slot]!.kind === "lookup" && program.args[slot]!.every((arg) => isPlain(extents, arg)))
      found.set(slot, Number.POSITIVE_INFINITY);
    else stack.push(...(division ? [division.of] : program.args[slot]!));
  }
  // The coarsest alone: what steps within is left for one part to solve. A quotient and its rest step together.
  const widest = Math.max(...found.values());
  const once = new Map<string, number>();
  for (const [slot, by] of found) {
    const division = program.divisions[slot];
    if (by === widest) once.set(division ? `${division.of} ${division.offset}` : `table ${slot}`, slot);
  }
  return [...once.values()];
}

/** k, or k and a number. */
function isPlain(extents: Extents, slot: number): boolean {
  const { program } = extents;
  if (program.parts[slot]!.kind === "index") return true;
  const sum = program.sums[slot];
  return sum !== undefined && sum.of.length === 1 && sum.by[0] === 1 && program.parts[sum.of[0]!]!.kind === "index";
}

/** The first key of a stretch, after its start, at which a part steps. */
export function nextStep(extents: Extents, slot: number, { start, end }: Stretch): Moving | undefined {
  const { course, program } = extents;
  const division = program.divisions[slot];
  const arg = division ? division.of : program.args[slot]![0]!;
  const x = extents.of(arg, new Stretch(start, moved(start, 1)))?.lo;
  if (!x) return undefined;
  const toKey = (at: Moving) => plus(start, minus(at, x));
  if (division) {
    const { by, offset } = division;
    return toKey(moved(times(moved(course.floorDiv(moved(x, offset), by), 1), by), -offset));
  }
  const line = extents.piecesOf(slot, new Stretch(start, end));
  if (!line || x.at < 0 || x.at >= line.pieces.length) return undefined;
  const p = pieceAt(line.pieces, x.at);
  course.atLeast(x, still(line.pieces.starts[p]!));
  const next = still(line.pieces.starts[p + 1]!);
  return course.less(x, next) ? toKey(next) : undefined;
}
