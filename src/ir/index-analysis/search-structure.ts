import { roundest } from "./bits.ts";
import type { BandRun } from "./block-structure.ts";
import { bisect, type Classified, type Range } from "./classify.ts";
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

/** Whether all parts that read k are such as can be solved for k. Tensors are: nothing is known of them. */
export function canBeSolved(program: BoxProgram): boolean {
  const { parts, args, reads, integral, fromData, sums, divisions, formula } = program;
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

/** Blocks of columns start … end - 1, in all rows of a region; `unknown` where it is not decided yet. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly class: "full" | "partial" | "unproven" | "unknown";
}

/**
 * Runs of every block row: rows and columns are halved until the formula is decided over them. For formulas that are
 * not solved for k. Halves are aligned to powers of two, over which bits are known best.
 */
export function searchedRows(program: BoxProgram, size: number, h: Range, b: Range): readonly (readonly BandRun[])[] {
  const { Q, K } = program.lengths;
  const fromData = program.fromData[program.parts.length - 1] === 1;
  const found: (readonly BandRun[])[] = [];
  let [boxes, proofs] = [boxBudget, proofBudget];
  const verdicts = new OperandVerdicts(program);
  /** The class of a block of which the program knows none. */
  const proven = (i: number, j: number): Classified["class"] | "unproven" => {
    if (fromData || proofs-- <= 0) return "unproven";
    const box = [i * size, Math.min((i + 1) * size, Q) - 1, j * size, Math.min((j + 1) * size, K) - 1];
    const classified = bisect(program, [...box, ...h, ...b]);
    program.over(b, h);
    return classified.class === "partial" && classified.because !== "proven" ? "unproven" : classified.class;
  };
  /** Appends what the columns are for the rows, in spans no wider than there are rows where they are not decided. */
  const look = (i0: number, i1: number, j0: number, j1: number, out: Span[]): void => {
    if (boxes-- <= 0) {
      put(out, j0, j1, "unproven");
      return;
    }
    const [height, width] = [i1 - i0, j1 - j0];
    // What was undecided for twice the rows is most often so for half of them.
    const verdict =
      width === 2 * height
        ? "unknown"
        : verdicts.of(i0 * size, Math.min(i1 * size, Q) - 1, j0 * size, Math.min(j1 * size, K) - 1);
    if (verdict === "empty") return;
    if (verdict === "full") put(out, j0, j1, verdict);
    else if (width > height) {
      const middle = roundest(j0, j1);
      look(i0, i1, j0, middle, out);
      look(i0, i1, middle, j1, out);
    } else if (height > 1) put(out, j0, j1, "unknown");
    else {
      const kind = verdict === "mixed" ? "partial" : proven(i0, j0);
      if (kind !== "empty") put(out, j0, j1, kind);
    }
  };
  const rows = (i0: number, i1: number, above: readonly Span[]): void => {
    const spans: Span[] = [];
    for (const span of above)
      if (span.class === "unknown") look(i0, i1, span.start, span.end, spans);
      else put(spans, span.start, span.end, span.class);
    if (i1 - i0 === 1) {
      found.push(spans.map(runOf));
      return;
    }
    const middle = roundest(i0, i1);
    rows(i0, middle, spans);
    rows(middle, i1, spans);
  };
  program.over(b, h);
  rows(0, Math.ceil(Q / size), [{ start: 0, end: Math.ceil(K / size), class: "unknown" }]);
  return found;
}

/** Appends a span, joined to the last where they touch and are decided alike. */
function put(out: Span[], start: number, end: number, kind: Span["class"]): void {
  const last = out[out.length - 1];
  if (last?.end === start && last.class === kind && kind !== "unknown")
    out[out.length - 1] = { start: last.start, end, class: kind };
  else out.push({ start, end, class: kind });
}

const runOf = ({ start, end, class: kind }: Span): BandRun => ({
  start: still(start),
  end: still(end),
  class: kind === "full" ? "full" : "partial",
  unproven: kind === "unproven",
});
