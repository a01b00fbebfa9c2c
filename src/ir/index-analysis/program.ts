import { fail } from "../diagnostics.ts";
import { indexEvaluator } from "../index-expr/evaluate.ts";
import { indexFunctions } from "../index-expr/functions.ts";
import {
  type IndexExpr,
  type IndexFormula,
  type IndexTable,
  type LengthName,
  partsInOrder,
  partsOf,
} from "../index-expr/types.ts";
import { type BitSelection, bitSelections, selectedBits } from "./bit-selection.ts";
import { setKnownBits } from "./bits.ts";
import { type Division, divisionOf } from "./division.ts";
import { combined, integralParts, type LinearForm, linearForms } from "./integral.ts";
import { mixedTest } from "./mixed.ts";
import { rangeTable } from "./range-table.ts";
import {
  canBeOther,
  canBeZero,
  gcd,
  isExactTerm,
  largestTerm,
  newSlots,
  type Slots,
  setAnything,
  setInteger,
  setReal,
  setTruth,
} from "./slots.ts";
import { comparisons, transfers } from "./transfer.ts";

/** How many batches, query heads, queries and keys there are. B and H are 1 where not said. */
export interface MaskLengths {
  readonly B?: number;
  readonly H?: number;
  readonly Q: number;
  readonly K: number;
}

/** What a formula says over a box of indices. */
export type Verdict = "empty" | "full" | "unknown";

/** A formula compiled to statements about boxes, at given lengths. */
export interface BoxProgram {
  readonly formula: IndexFormula;
  readonly lengths: Required<MaskLengths>;
  /** Every part once, arguments first; slot numbers index it. The last is the whole. */
  readonly parts: readonly IndexExpr[];
  /** Slots of the arguments of each part. */
  readonly args: readonly (readonly number[])[];
  readonly slots: Slots;
  /** The part reads a tensor: what it is, is not known before run time. */
  readonly fromData: Uint8Array;
  /** Which indices a part reads: 1 q, 2 k, 4 b, 8 h. */
  readonly reads: Uint8Array;
  readonly integral: Uint8Array;
  /** Parts that divide integers by a number. */
  readonly divisions: readonly (Division | undefined)[];
  /** Parts that are bits of one index. */
  readonly selections: readonly (BitSelection | undefined)[];
  /** What an integer part, or the difference of the sides of a comparison, is the sum of; undefined where it is no sum. */
  readonly sums: readonly (SlotSum | undefined)[];
  /** Sets the heads and batches of the boxes that follow, all within. All of them at first. */
  over(b: readonly [number, number], h: readonly [number, number]): void;
  /** The verdict over q in [q0, q1] and k in [k0, k1], all within; leaves in `slots` what is known of every part but those within selections of bits. */
  verdict(q0: number, q1: number, k0: number, k1: number): Verdict;
  /** Whether the last box, over which a part is not decided (the whole where not said), is known to hold both truths. */
  isMixed(slot?: number): boolean;
  /** Whether the formula holds at a point: what `verdict` cannot say where NaN is involved. Not for tensors. */
  holdsAt(q: number, k: number, h: number, b: number): boolean;
}

/** constant + Σ by[t] · slot of[t]. */
export interface SlotSum {
  readonly constant: number;
  readonly of: Int32Array;
  readonly by: Float64Array;
}

export const slotSum = (constant: number, terms: readonly (readonly [slot: number, by: number])[]): SlotSum => ({
  constant,
  of: Int32Array.from(terms, ([slot]) => slot),
  by: Float64Array.from(terms, ([, by]) => by),
});

type Step = () => void;

/** Compiles a formula. Throws QKV248 for lengths that are no natural numbers. */
export function boxProgram(formula: IndexFormula, given: MaskLengths): BoxProgram {
  const lengths = checkedLengths(given);
  const parts = partsInOrder(formula.expr);
  const slotOf = new Map(parts.map((part, slot) => [part, slot]));
  const args = parts.map((part) => partsOf(part).map((arg) => slotOf.get(arg)!));
  const integers = integralParts(formula.expr, formula.tables);
  const integral = Uint8Array.from(parts, (part) => Number(integers.has(part)));
  const selections = bitSelections(parts, args, lengths);
  const divisions = solvedDivisions(parts, args, integral, selections);
  const forms = linearForms(formula.expr, integers, (name) => lengths[name]);
  const sums = parts.map((part) => sumOf(part, forms, slotOf));
  const reads = spread(parts, args, (part) => (part.kind === "index" ? { q: 1, k: 2, b: 4, h: 8 }[part.name] : 0));
  const slots = newSlots(Uint8Array.from(parts, (part) => Number(isBits(part))));
  // Steps by what they read of q and k: neither, q, k, both.
  const steps: [Step[], Step[], Step[], Step[]] = [[], [], [], []];
  const indexSlots = { b: -1, h: -1, q: -1, k: -1 };
  const needed = neededParts(args, selections);
  parts.forEach((part, i) => {
    if (needed[i] === 0) return;
    if (part.kind === "index") indexSlots[part.name] = i;
    else if (part.kind === "number" || part.kind === "length")
      setNumber(slots, i, part.kind === "number" ? part.value : lengths[part.name as LengthName]);
    else if (part.kind === "score") setAnything(slots, i);
    else {
      const step =
        part.kind === "lookup"
          ? lookupStep(slots, i, args[i]!, formula.tables[part.table]!)
          : selections[i]
            ? selectionStep(slots, i, selections[i])
            : applyStep(slots, i, part, args[i]!, sums[i]);
      steps[reads[i]! & 3]!.push(step);
    }
  });
  const root = parts.length - 1;
  let evaluate: ReturnType<typeof indexEvaluator> | undefined;
  const setIndex = (name: "b" | "h" | "q" | "k", first: number, last: number) => {
    const i = indexSlots[name];
    if (i >= 0) setInteger(slots, i, first, last, 1, 0);
  };
  // What was asked last: parts that read q or k alone need not be worked out again.
  let [fresh, lastQ0, lastQ1, lastK0, lastK1] = [true, -1, -1, -1, -1];
  const over: BoxProgram["over"] = (b, h) => {
    setIndex("b", ...b);
    setIndex("h", ...h);
    fresh = true;
  };
  over([0, lengths.B - 1], [0, lengths.H - 1]);
  const program = {
    formula,
    lengths,
    parts,
    args,
    slots,
    fromData: spread(parts, args, (part) =>
      Number(part.kind === "lookup" && formula.tables[part.table]?.kind === "tensor"),
    ),
    reads,
    integral,
    divisions,
    selections,
    sums,
    over,
    verdict(q0: number, q1: number, k0: number, k1: number): Verdict {
      if (fresh) take(steps[0]);
      if (fresh || q0 !== lastQ0 || q1 !== lastQ1) {
        setIndex("q", q0, q1);
        take(steps[1]);
      }
      if (fresh || k0 !== lastK0 || k1 !== lastK1) {
        setIndex("k", k0, k1);
        take(steps[2]);
      }
      take(steps[3]);
      [fresh, lastQ0, lastQ1, lastK0, lastK1] = [false, q0, q1, k0, k1];
      if (!canBeOther(slots, root)) return "empty";
      return canBeZero(slots, root) ? "unknown" : "full";
    },
    holdsAt(q: number, k: number, h: number, b: number): boolean {
      evaluate ??= indexEvaluator(formula);
      return evaluate({ b, h, q, k, lengths }) !== 0;
    },
  };
  return { ...program, isMixed: mixedTest(program) };
}

function checkedLengths(given: MaskLengths): Required<MaskLengths> {
  const lengths = { B: given.B ?? 1, H: given.H ?? 1, Q: given.Q, K: given.K };
  for (const [name, length] of Object.entries(lengths))
    if (!Number.isInteger(length) || length < 1 || length > largestTerm)
      fail("QKV248", `the length ${name} of a mask is ${length}; it is an integer from 1 to 2^28`);
  return lengths;
}

/** Of selections of bits only divisions of divisions are solved. */
function solvedDivisions(
  parts: BoxProgram["parts"],
  args: BoxProgram["args"],
  integral: Uint8Array,
  selections: BoxProgram["selections"],
): BoxProgram["divisions"] {
  const divisions: (Division | undefined)[] = [];
  for (const slot of parts.keys()) {
    const division = divisionOf(slot, parts, args, integral);
    const isInner = division && selections[slot] && selections[division.of] && !divisions[division.of];
    divisions.push(isInner ? undefined : division);
  }
  return divisions;
}

function take(steps: readonly Step[]): void {
  for (let i = 0; i < steps.length; i++) steps[i]!();
}

/** The parts the whole is made of, where selections of bits are made of their index. */
function neededParts(
  args: readonly (readonly number[])[],
  selections: readonly (BitSelection | undefined)[],
): Uint8Array {
  const needed = new Uint8Array(args.length);
  needed[args.length - 1] = 1;
  for (let slot = args.length - 1; slot >= 0; slot--) {
    if (needed[slot] === 0) continue;
    const selection = selections[slot];
    for (const part of selection ? [selection.of] : args[slot]!) needed[part] = 1;
  }
  return needed;
}

const isBits = (part: IndexExpr) => part.kind === "apply" && indexFunctions[part.fn].bits === true;

function setNumber(s: Slots, i: number, value: number): void {
  if (Number.isInteger(value)) setInteger(s, i, value, value, 0, value);
  else setReal(s, i, value, value);
}

/** Flags of leaves, passed on to everything made of them. */
function spread(
  parts: readonly IndexExpr[],
  args: readonly (readonly number[])[],
  of: (part: IndexExpr) => number,
): Uint8Array {
  const flags = new Uint8Array(parts.length);
  parts.forEach((part, i) => {
    flags[i] = args[i]!.reduce((all, arg) => all | flags[arg]!, of(part));
  });
  return flags;
}

function sumOf(
  part: IndexExpr,
  forms: ReadonlyMap<IndexExpr, LinearForm>,
  slotOf: ReadonlyMap<IndexExpr, number>,
): SlotSum | undefined {
  if (part.kind !== "apply") return undefined;
  const [x, y] = part.args.map((arg) => forms.get(arg));
  const form = part.fn in comparisons ? x && y && combined(x, y, -1) : forms.get(part);
  if (!form || form.terms.has(part)) return undefined;
  const of = Int32Array.from(form.terms.keys(), (term) => slotOf.get(term)!);
  return { constant: form.constant, of, by: Float64Array.from(form.terms.values()) };
}

function selectionStep(s: Slots, i: number, selection: BitSelection): Step {
  const { of, rising } = selection;
  let [lastFree, unknown] = [0, 0];
  return () => {
    const first = s.lo[of]!;
    const last = s.hi[of]!;
    // From the first bit on in which both ends differ.
    const free = first === last ? 0 : -1 >>> Math.clz32(first ^ last);
    if (free !== lastFree) [lastFree, unknown] = [free, selectedBits(selection, free)];
    const known = selectedBits(selection, first & ~free);
    if (rising) setKnownBits(s, i, known, unknown, selectedBits(selection, first), selectedBits(selection, last));
    else setKnownBits(s, i, known, unknown, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
  };
}

function applyStep(
  s: Slots,
  i: number,
  part: IndexExpr & { readonly kind: "apply" },
  args: readonly number[],
  form: SlotSum | undefined,
): Step {
  const transfer = transfers[part.fn];
  const [x = 0, y = 0, z = 0] = args;
  const plain = () => transfer(s, i, x, y, z);
  if (!form) return plain;
  if (part.fn in comparisons) return comparisonStep(s, i, part.fn as keyof typeof comparisons, form, plain);
  const sum = linearSum(s, form);
  return () => {
    if (sum.compute()) setInteger(s, i, sum.lo, sum.hi, sum.mod, sum.rem);
    else plain();
  };
}

interface LinearSum {
  lo: number;
  hi: number;
  mod: number;
  rem: number;
  /** False where a part is no integer of exact size. */
  compute(): boolean;
}

function linearSum(s: Slots, { constant, of, by }: SlotSum): LinearSum {
  const sum: LinearSum = {
    lo: 0,
    hi: 0,
    mod: 0,
    rem: 0,
    compute() {
      let lo = constant;
      let hi = constant;
      let m = 0;
      let r = constant;
      for (let t = 0; t < of.length; t++) {
        const slot = of[t]!;
        const a = s.lo[slot]!;
        const b = s.hi[slot]!;
        if (!isExactTerm(s, slot)) return false;
        const c = by[t]!;
        lo += c > 0 ? c * a : c * b;
        hi += c > 0 ? c * b : c * a;
        r += c * s.rem[slot]!;
        m = gcd(m, c * s.mod[slot]!);
      }
      sum.lo = lo;
      sum.hi = hi;
      sum.mod = m;
      sum.rem = r;
      return true;
    },
  };
  return sum;
}

function comparisonStep(s: Slots, i: number, fn: keyof typeof comparisons, difference: SlotSum, plain: Step): Step {
  const sum = linearSum(s, difference);
  const decide = comparisons[fn];
  const aboutEquality = fn === "equal" || fn === "notEqual";
  return () => {
    if (!sum.compute()) return plain();
    if (aboutEquality && sum.mod > 1 && sum.rem % sum.mod !== 0) setTruth(s, i, fn === "equal", fn === "notEqual");
    else decide(s, i, sum.lo, sum.hi);
  };
}

function lookupStep(s: Slots, i: number, args: readonly number[], table: IndexTable): Step {
  // Anything, truths too: outside of a tensor the answer is NaN.
  if (table.kind === "tensor") return () => setAnything(s, i);
  const ranges = rangeTable(table);
  const { dims } = ranges;
  const out = new Float64Array(2);
  const whole = dims.reduce((product, size) => product * size, 1);
  const set = () => {
    if (ranges.integer) setInteger(s, i, out[0]!, out[1]!, 1, 0);
    else setReal(s, i, out[0]!, out[1]!);
  };
  return () => {
    let first = 0;
    let last = 0;
    for (let axis = 0; axis < dims.length; axis++) {
      const [lo, hi] = [s.lo[args[axis]!]!, s.hi[args[axis]!]!];
      // Outside of the table the answer is NaN, between two elements too.
      if (!(s.mod[args[axis]!]! >= 0 && Number.isInteger(lo) && lo >= 0 && hi < dims[axis]!)) return setAnything(s, i);
      first = first * dims[axis]! + lo;
      last = last * dims[axis]! + hi;
    }
    if (whole === 0) return setAnything(s, i);
    ranges.bounds(first, last, out);
    set();
  };
}
