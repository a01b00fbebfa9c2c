import { sharing } from "../index-expr/types.ts";
import { roundest } from "./bits.ts";
import type { Band, BandRun, BlockCounts } from "./block-structure.ts";
import { bisect, type Range } from "./classify.ts";
import { still } from "./moving.ts";
import { OperandVerdicts } from "./operand-verdicts.ts";
import type { BoxProgram } from "./program.ts";
import { comparisons } from "./transfer.ts";

/** Boxes asked about; beyond, what is undecided is partial without proof. */
const boxBudget = 2_000_000;
/** Undecided blocks looked into one by one. */
const proofBudget = 100_000;

/** Functions of integers whose values can be solved for k. */
const solved = new Set("neg abs min max floor ceil round trunc select and or not".split(" "));

/** Parts are solved at each of their uses, in every row: shared more than that they are searched. */
const mostSharing = 64;

/** Whether all parts that read k are such as can be solved for k. Tensors are: nothing is known of them. */
export function canBeSolved(program: BoxProgram): boolean {
  const { parts, args, reads, integral, fromData, sums, divisions, formula } = program;
  if (sharing(formula.expr) > mostSharing) return false;
  const stack = [parts.length - 1];
  const seen = new Set(stack);
  while (stack.length > 0) {
    const slot = stack.pop()!;
    const part = parts[slot]!;
    if ((reads[slot]! & 2) === 0) continue;
    let inner: Iterable<number> = args[slot]!;
    if (part.kind === "lookup") {
      if (formula.tables[part.table]?.kind === "tensor") continue;
    } else if (part.kind === "apply") {
      const sum = sums[slot];
      const division = divisions[slot];
      if (integral[slot] !== 1 && fromData[slot] !== 1) return false;
      if (sum) inner = sum.of;
      else if (division) inner = [division.of];
      else if (!(solved.has(part.fn) || (part.fn in comparisons && fromData[slot] === 1))) return false;
    }
    for (const arg of inner)
      if (!seen.has(arg)) {
        seen.add(arg);
        stack.push(arg);
      }
  }
  return true;
}

/** What is known of blocks of a row; `unknown` is not decided yet. */
const kinds = { full: 0, partial: 1, unproven: 2, unknown: 3 } as const;
type Kind = (typeof kinds)[keyof typeof kinds];

/** Spans of block columns start … end - 1 of one kind, kept as numbers: a mask can have as many as rows. */
class Spans {
  size = 0;
  private numbers = new Int32Array(3 * 1024);

  start(at: number): number {
    return this.numbers[3 * at]!;
  }

  end(at: number): number {
    return this.numbers[3 * at + 1]!;
  }

  kind(at: number): Kind {
    return this.numbers[3 * at + 2]! as Kind;
  }

  /** Appends a span, joined to the last from `first` on where they touch and are decided alike. */
  put(first: number, start: number, end: number, kind: Kind): void {
    const last = this.size - 1;
    if (last >= first && kind !== kinds.unknown && this.end(last) === start && this.kind(last) === kind) {
      this.numbers[3 * last + 1] = end;
      return;
    }
    if (3 * this.size === this.numbers.length) {
      const larger = new Int32Array(6 * this.size);
      larger.set(this.numbers);
      this.numbers = larger;
    }
    this.numbers[3 * this.size] = start;
    this.numbers[3 * this.size + 1] = end;
    this.numbers[3 * this.size + 2] = kind;
    this.size++;
  }
}

/** A row by itself, of spans that are written out when they are asked for. */
class SearchedRow implements Band {
  readonly first: number;
  readonly steps = [1, 0, 0] as const;
  readonly counts = [1, 1, 1] as const;
  private readonly spans: Spans;
  private readonly from: number;
  private readonly to: number;
  private written: readonly BandRun[] | undefined;

  constructor(row: number, spans: Spans, from: number) {
    this.first = row;
    this.spans = spans;
    this.from = from;
    this.to = spans.size;
  }

  get runs(): readonly BandRun[] {
    this.written ??= Array.from({ length: this.to - this.from }, (_, i) => this.run(this.from + i));
    return this.written;
  }

  private run(at: number): BandRun {
    const { spans } = this;
    const kind = spans.kind(at);
    return {
      start: still(spans.start(at)),
      pattern: undefined,
      end: still(spans.end(at)),
      class: kind === kinds.full ? "full" : "partial",
      unproven: kind === kinds.unproven,
    };
  }
}

/**
 * Every block row, and how many blocks of each class there are: rows and columns are halved until the formula is decided
 * over them. For formulas that are not solved for k. Halves are aligned to powers of two, over which bits are known best.
 */
export function searchedRows(
  program: BoxProgram,
  size: number,
  h: Range,
  b: Range,
): { readonly bands: readonly Band[]; readonly counts: BlockCounts } {
  const { Q, K } = program.lengths;
  const fromData = program.fromData[program.parts.length - 1] === 1;
  const found = new Spans();
  const bands: Band[] = [];
  let [boxes, proofs] = [boxBudget, proofBudget];
  const verdicts = new OperandVerdicts(program);
  /** The kind of a block of which the program knows none. */
  const proven = (i: number, j: number): Kind | "empty" => {
    if (fromData || proofs-- <= 0) return kinds.unproven;
    const box = [i * size, Math.min((i + 1) * size, Q) - 1, j * size, Math.min((j + 1) * size, K) - 1];
    const classified = bisect(program, [...box, ...h, ...b]);
    program.over(b, h);
    if (classified.class === "empty") return "empty";
    return classified.class === "partial" && classified.because !== "proven" ? kinds.unproven : kinds[classified.class];
  };
  /** Spans of the regions looked at, each after those of the region it is a half of. */
  const open = new Spans();
  /** Appends what the columns are for the rows, in spans no wider than there are rows where they are not decided. */
  const look = (i0: number, i1: number, j0: number, j1: number, first: number): void => {
    if (boxes-- <= 0) {
      open.put(first, j0, j1, kinds.unproven);
      return;
    }
    const [height, width] = [i1 - i0, j1 - j0];
    // What was undecided for twice the rows is most often so for half of them.
    const verdict =
      width === 2 * height
        ? "unknown"
        : verdicts.of(i0 * size, Math.min(i1 * size, Q) - 1, j0 * size, Math.min(j1 * size, K) - 1);
    if (verdict === "empty") return;
    if (verdict === "full") open.put(first, j0, j1, kinds.full);
    else if (width > height) {
      const middle = roundest(j0, j1);
      look(i0, i1, j0, middle, first);
      look(i0, i1, middle, j1, first);
    } else if (height > 1) open.put(first, j0, j1, kinds.unknown);
    else {
      const kind = verdict === "mixed" ? kinds.partial : proven(i0, j0);
      if (kind !== "empty") open.put(first, j0, j1, kind);
    }
  };
  const counts = [0, 0, 0];
  const rows = (i0: number, i1: number, from: number): void => {
    const to = open.size;
    for (let at = from; at < to; at++) {
      const [start, end, kind] = [open.start(at), open.end(at), open.kind(at)];
      if (kind === kinds.unknown) look(i0, i1, start, end, to);
      else open.put(to, start, end, kind);
    }
    if (i1 - i0 === 1) {
      const before = found.size;
      for (let at = to; at < open.size; at++) {
        found.put(before, open.start(at), open.end(at), open.kind(at));
        counts[open.kind(at)]! += open.end(at) - open.start(at);
      }
      bands.push(new SearchedRow(i0, found, before));
    } else {
      const middle = roundest(i0, i1);
      rows(i0, middle, to);
      rows(middle, i1, to);
    }
    open.size = to;
  };
  program.over(b, h);
  open.put(0, 0, Math.ceil(K / size), kinds.unknown);
  rows(0, Math.ceil(Q / size), 0);
  const [full, partial, unproven] = counts as [number, number, number];
  return { bands, counts: { full, partial: partial + unproven, unproven } };
}
