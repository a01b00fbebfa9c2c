import type { BandRun } from "./block-structure.ts";
import { bisect, type Range } from "./classify.ts";
import type { Division } from "./division.ts";
import { still } from "./moving.ts";
import type { BoxProgram } from "./program.ts";
import { comparisons } from "./transfer.ts";

/** Boxes asked about; beyond, what is undecided is partial without proof. */
const boxBudget = 2_000_000;
/** Undecided blocks looked into one by one. */
const proofBudget = 100_000;

/** Functions of integers whose values can be solved for k. */
const solved = new Set("neg abs min max floor ceil round trunc select and or not".split(" "));

/** Whether all parts that read k are such as can be solved for k. Tensors are: nothing is known of them. */
export function canBeSolved(program: BoxProgram, divisions: readonly (Division | undefined)[]): boolean {
  const { parts, args, reads, integral, fromData, sums, formula } = program;
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

/** Rows first … end - 1, and columns alike. */
type Region = readonly [i0: number, i1: number, j0: number, j1: number];

/**
 * Runs of every block row, found by halving regions until the formula is decided over them: for formulas that are not
 * solved for k. Halves are aligned to powers of two, over which bits are known best.
 */
export function searchedRows(program: BoxProgram, size: number, h: Range, b: Range): readonly (readonly BandRun[])[] {
  const { Q, K } = program.lengths;
  const [rows, columns] = [Math.ceil(Q / size), Math.ceil(K / size)];
  const found = Array.from({ length: rows }, (): BandRun[] => []);
  const fromData = program.fromData[program.parts.length - 1] === 1;
  let [boxes, proofs] = [boxBudget, proofBudget];
  const put = ([i0, i1, j0, j1]: Region, kind: "full" | "partial" | "unproven") => {
    const run = { start: still(j0), end: still(j1), class: kind === "full" ? kind : "partial" } as const;
    for (let i = i0; i < i1; i++) found[i]!.push({ ...run, unproven: kind === "unproven" });
  };
  const block = (region: Region) => {
    if (fromData || proofs-- <= 0) return put(region, "unproven");
    const found = bisect(program, [...boxOf(region, size, Q, K), h[0], h[1], b[0], b[1]]);
    program.over(b, h);
    if (found.class === "full" || found.because === "proven") {
      if (found.class !== "empty") put(region, found.class);
    } else put(region, "unproven");
  };
  program.over(b, h);
  const stack: Region[] = [[0, rows, 0, columns]];
  while (stack.length > 0) {
    const region = stack.pop()!;
    const [i0, i1, j0, j1] = region;
    const verdict = program.verdict(...boxOf(region, size, Q, K));
    if (verdict === "full") put(region, "full");
    if (verdict !== "unknown") continue;
    const [height, width] = [i1 - i0, j1 - j0];
    if (height === 1 && width === 1) block(region);
    else if (boxes-- <= 0) put(region, "unproven");
    else if (height > width) {
      const middle = middleOf(i0, i1);
      stack.push([middle, i1, j0, j1], [i0, middle, j0, j1]);
    } else {
      const middle = middleOf(j0, j1);
      stack.push([i0, i1, middle, j1], [i0, i1, j0, middle]);
    }
  }
  return found.map((runs) => merged(runs.sort((x, y) => x.start.at - y.start.at)));
}

const boxOf = ([i0, i1, j0, j1]: Region, size: number, Q: number, K: number) =>
  [i0 * size, Math.min(i1 * size, Q) - 1, j0 * size, Math.min(j1 * size, K) - 1] as const;

/** The roundest number in (first, end). */
const middleOf = (first: number, end: number) => {
  const last = end - 1;
  return last & ~(2 ** (31 - Math.clz32(first ^ last)) - 1);
};

function merged(runs: readonly BandRun[]): readonly BandRun[] {
  const out: BandRun[] = [];
  for (const run of runs) {
    const last = out.at(-1);
    const joins = last && last.end.at === run.start.at && last.class === run.class && last.unproven === run.unproven;
    if (joins) out[out.length - 1] = { ...last, end: run.end };
    else out.push(run);
  }
  return out;
}
