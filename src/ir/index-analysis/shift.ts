import type { IndexExpr } from "../index-expr/types.ts";
import type { BoxProgram } from "./program.ts";
import { anything, gcd, isDecided } from "./slots.ts";

/** A step through the indices: along the diagonal, to the right, or down. */
export type Direction = "diagonal" | "right" | "down";

export interface ShiftAnalysis {
  /** Least step, in positions, after which the formula says the same within the box; 0 where there is none. */
  readonly period: number;
  /** Undecided parts that change otherwise and whose arguments do not: why there is no period. */
  readonly blockers: readonly number[];
}

/** How a part moves per position of the step, as a fraction; `fixed` are the steps it needs to be a multiple of. */
interface Motion {
  readonly rate: Float64Array;
  readonly over: Float64Array;
}

/**
 * Whether the formula is invariant under steps of a direction within the box the program was last asked about: the
 * parts decided over the box stay what they are, sums move by a constant, `floor(x / n)` moves by a constant where n
 * divides how far x moves, and so on. Periods above `longest` count as none.
 */
export function shiftAnalysis(program: BoxProgram, direction: Direction, longest: number): ShiftAnalysis {
  const { parts, args, slots, fromData } = program;
  const live = liveParts(program);
  const motion: Motion = { rate: new Float64Array(parts.length), over: new Float64Array(parts.length).fill(1) };
  const failed = new Uint8Array(parts.length);
  const blockers: number[] = [];
  const stepOf = { q: Number(direction !== "right"), k: Number(direction !== "down"), b: 0, h: 0 };
  let period = 1;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (live[i] === 0 || isDecided(slots, i)) continue;
    if (part.kind === "index") motion.rate[i] = stepOf[part.name];
    // What is unknown before run time stays unknown under any step.
    if (part.kind === "index" || (fromData[i] === 1 && slots.mod[i] === anything)) continue;
    if (args[i]!.some((arg) => failed[arg] === 1)) {
      failed[i] = 1;
      continue;
    }
    const needed = moveOf(program, i, motion);
    const common = needed === 0 ? 0 : (period / gcd(period, needed)) * needed;
    if (common === 0 || common > longest) {
      failed[i] = 1;
      blockers.push(i);
    } else period = common;
  }
  const root = parts.length - 1;
  const still = failed[root] === 0 && motion.rate[root] === 0;
  return { period: still ? period : 0, blockers };
}

/** Parts the whole depends on, through parts that are not decided. */
function liveParts({ parts, args, slots }: BoxProgram): Uint8Array {
  const live = new Uint8Array(parts.length);
  live[parts.length - 1] = 1;
  for (let i = parts.length - 1; i >= 0; i--) {
    if (live[i] === 0 || isDecided(slots, i)) continue;
    const part = parts[i]!;
    const [c, x, y] = args[i]!;
    if (part.kind === "apply" && part.fn === "select" && isDecided(slots, c!)) {
      live[c!] = 1;
      live[slots.lo[c!] === 0 ? y! : x!] = 1;
    } else for (const arg of args[i]!) live[arg] = 1;
  }
  return live;
}

const sameRate = ({ rate, over }: Motion, x: number, y: number) => rate[x]! * over[y]! === rate[y]! * over[x]!;

function copy(motion: Motion, i: number, from: number, factor = 1, divisor = 1): number {
  const up = motion.rate[from]! * factor;
  const down = motion.over[from]! * divisor;
  const common = gcd(up, down) || 1;
  motion.rate[i] = up / common;
  motion.over[i] = down / common;
  return motion.over[i]!;
}

/** Writes how part `i` moves; answers what the step must be a multiple of for that, 0 where it cannot be said. */
function moveOf(program: BoxProgram, i: number, motion: Motion): number {
  const { parts, args, slots: s, integral } = program;
  const part = parts[i]!;
  const [x = 0, y = 0, z = 0] = args[i]!;
  const { rate, over } = motion;
  if (args[i]!.every((arg) => rate[arg] === 0)) return 1;
  if (part.kind !== "apply") return 0;
  const whole = args[i]!.every((arg) => integral[arg] === 1 && s.mod[arg] !== anything);
  switch (part.fn) {
    case "neg":
      return whole ? copy(motion, i, x, -1) : 0;
    case "add":
    case "sub": {
      if (!whole) return 0;
      const sign = part.fn === "add" ? 1 : -1;
      const up = rate[x]! * over[y]! + sign * rate[y]! * over[x]!;
      const down = over[x]! * over[y]!;
      const common = gcd(up, down) || 1;
      rate[i] = up / common;
      over[i] = down / common;
      return over[i]!;
    }
    case "mul": {
      if (!whole) return 0;
      if (isDecided(s, y)) return copy(motion, i, x, s.lo[y]);
      return isDecided(s, x) ? copy(motion, i, y, s.lo[x]) : 0;
    }
    case "floor":
    case "ceil":
    case "round":
    case "trunc":
      return roundedMove(program, i, motion);
    // Only rounding a quotient moves by whole numbers; `roundedMove` looks through it.
    case "div":
      return integral[x] === 1 && isDecided(s, y) && s.lo[y] !== 0 && Number.isInteger(s.lo[y]) && s.mod[x] !== anything
        ? copyUnrounded(motion, i, x, s.lo[y]!)
        : 0;
    case "mod":
      return whole && isDecided(s, y) && (s.lo[x]! >= 0 || s.hi[x]! <= 0) ? still(motion, i, x, Math.abs(s.lo[y]!)) : 0;
    case "bitAnd": {
      const mask = isDecided(s, y) ? s.lo[y]! : isDecided(s, x) ? s.lo[x]! : -1;
      const size = mask + 1;
      return whole && mask >= 0 && 2 ** Math.round(Math.log2(size)) === size
        ? still(motion, i, isDecided(s, y) ? x : y, size)
        : 0;
    }
    case "shiftRight":
      return whole && isDecided(s, y) && s.lo[y]! >= 0 && s.lo[y]! < 31 && s.lo[x]! >= -(2 ** 30) && s.hi[x]! < 2 ** 30
        ? copy(motion, i, x, 1, 2 ** s.lo[y]!)
        : 0;
    case "abs":
      if (!whole) return 0;
      return s.lo[x]! >= 0 ? copy(motion, i, x) : s.hi[x]! <= 0 ? copy(motion, i, x, -1) : 0;
    case "min":
    case "max": {
      if (!whole) return 0;
      // x is taken everywhere where it is `small` throughout (for max: y is), else y where the other way round.
      const [small, large] = part.fn === "min" ? [x, y] : [y, x];
      if (s.hi[small]! <= s.lo[large]!) return copy(motion, i, x);
      if (s.hi[large]! <= s.lo[small]!) return copy(motion, i, y);
      return sameRate(motion, x, y) ? copy(motion, i, x) : 0;
    }
    case "select":
      if (isDecided(s, x)) return copy(motion, i, s.lo[x] === 0 ? z : y);
      return rate[x] === 0 && sameRate(motion, y, z) && integral[y] === 1 && integral[z] === 1 ? copy(motion, i, y) : 0;
    case "equal":
    case "notEqual":
    case "less":
    case "lessEqual":
    case "greater":
    case "greaterEqual":
      return whole && sameRate(motion, x, y) ? 1 : 0;
    default:
      return 0;
  }
}

/** The part stays where it is when `x` moves by a multiple of n: the step that needs. */
function still({ rate, over }: Motion, _i: number, x: number, n: number): number {
  const up = Math.abs(rate[x]!);
  if (up === 0) return 1;
  // n divides step · up / over.
  const multiple = n * over[x]!;
  return multiple / gcd(multiple, up);
}

function copyUnrounded(motion: Motion, i: number, x: number, divisor: number): number {
  copy(motion, i, x, Math.sign(divisor), Math.abs(divisor));
  return 1;
}

function roundedMove({ parts, args, slots: s, integral }: BoxProgram, i: number, motion: Motion): number {
  const x = args[i]![0]!;
  const inner: IndexExpr = parts[x]!;
  const fn = (parts[i] as { readonly fn: string }).fn;
  if (fn === "trunc" && !(s.lo[x]! >= 0 || s.hi[x]! <= 0)) return 0;
  const quotient = inner.kind === "apply" && inner.fn === "div";
  if (integral[x] !== 1 && !quotient) return 0;
  return copy(motion, i, x);
}
