import { causalFormula, everything } from "../../ir/attend.ts";
import { isStatic } from "../../ir/dim.ts";
import { readsOf } from "../../ir/index-analysis/logic.ts";
import { constant, type IndexExpr, partsInOrder, partsOf } from "../../ir/index-expr/types.ts";
import type { Target } from "../target.ts";
import type { MaskProblem } from "./problem.ts";

/** The numbers of one attention. */
export interface Numbers {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
}

/**
 * Nanoseconds of ONNX Runtime on two CPU cores, measured (bench/attention-variants.ts); only their ratios matter.
 * Scores that fit the cache cost less to normalise than those that go through memory.
 */
const nanoseconds = {
  flop: 1 / 190,
  pairInCache: 0.35,
  pairInMemory: 0.55,
  /** A kernel that keeps no scores and skips what lies above the diagonal, for a pair of either half. */
  flashCausalPair: 1.6,
  flashPair: 1.35,
  cheapStep: 0.1,
  dearStep: 0.5,
  /** An element of a mask that is computed when the model runs. */
  maskElement: 0.5,
  /** What slices copy goes row by row on one core; what is gathered goes in blocks, on both. */
  slicedByte: 0.06,
  gatheredByte: 0.04,
  node: 2500,
} as const;

/** Scores beyond this many bytes go through memory. */
const cached = 4 * 2 ** 20;
/** Scores beyond this many bytes at a time are to be avoided where there is a way: the memory may not be there. */
const mostBytes = 2 ** 30;
/** How much slower they are taken to be. */
const beyond = 8;
const dear: ReadonlySet<string> = new Set(["tanh", "exp", "log", "log2", "sin", "cos", "pow", "mod", "sqrt"]);

/** Nanoseconds for one pair of query and key of one head: both products, normaliser, score functions. */
function pairCost({ sizes, program }: MaskProblem, inCache: boolean): number {
  const width = Number(sizes.width) + Number(sizes.valueWidth);
  const base = inCache ? nanoseconds.pairInCache : nanoseconds.pairInMemory;
  const { score, prob } = program.formulas;
  return 2 * width * nanoseconds.flop + base + stepCost(score) + stepCost(prob);
}

function stepCost(formula: IndexExpr): number {
  const scored = new Set<IndexExpr>();
  let cost = 0;
  for (const part of partsInOrder(formula)) {
    if (part.kind !== "score" && !partsOf(part).some((inner) => scored.has(inner))) continue;
    scored.add(part);
    if (part.kind === "apply") cost += dear.has(part.fn) ? nanoseconds.dearStep : nanoseconds.cheapStep;
  }
  return cost;
}

/** An element of a table is found by its index in all of it, which is computed and held within. */
const nodesOfLookup = 6;

/** Operations that compute mask and bias of one grid of places. */
export function formulaNodes({ program, added, facts }: MaskProblem): number {
  const parts = new Set([program.formulas.mask, added ?? program.formulas.score].flatMap(partsInOrder));
  const of = { apply: 1, lookup: nodesOfLookup } as const;
  const computed = [...parts].reduce((sum, { kind }) => sum + (kind in of ? of[kind as keyof typeof of] : 0), 0);
  // What depends on the distance alone is computed once for all parts.
  return facts.ofDistance && added === constant(0) ? 0 : computed;
}

/**
 * How many times the elements of a mask are handled: a table read at q and k is read for each pair, by index where its
 * axes cannot be cut as the places are.
 */
function elementWeight({ program, mask }: MaskProblem, heads: number, cut: boolean): number {
  let weight = 1;
  const parts = new Set([mask.expr, program.formulas.score].flatMap(partsInOrder));
  for (const part of parts) {
    const reads = part.kind === "lookup" ? readsOf(part) : 0;
    if ((reads & 3) !== 3) continue;
    weight += (cut ? 0.5 : 6) * ((reads & 8) === 0 ? 1 : heads);
  }
  return weight;
}

/** Nodes that make shapes and places where lengths are open, in those that are counted here; most of them are very small. */
const nodesOfOpenLengths = 20;

/** Nodes of a form that reads what lies in blocks. */
export const nodesInBlocks = ({ sizes }: MaskProblem, nodes: number): number =>
  isStatic(sizes.queries) && isStatic(sizes.keys) ? nodes : nodes + nodesOfOpenLengths;

/** Floats of a register; rows of scores that are no whole number of them take `ragged` times as long. */
const register = 16;
const ragged = 1.15;
export const roundedUp = (size: number, unit: number): number => Math.ceil(size / unit) * unit;
/** Widths worth trying for rows of at least `least` scores. */
export const widthsFrom = (least: number): readonly number[] => [...new Set([least, roundedUp(least, register)])];
export const raggedness = (width: number): number => (width % register === 0 ? 1 : ragged);

export interface Work {
  /** Pairs of query and key of one head that are computed. */
  readonly pairs: number;
  /** Scores held at a time, of one head. */
  readonly held: number;
  /** Elements of a mask that is computed or read, of one head. */
  readonly maskElements: number;
  /** Tables are cut as the places are, rather than read by index. */
  readonly cut: boolean;
  /** Elements of q, k, v and the result that are copied, of all heads: in slices, or gathered in blocks. */
  readonly sliced: number;
  readonly gathered: number;
  readonly nodes: number;
}

/** Nanoseconds of a way to compute an attention. */
export function timeOf(problem: MaskProblem, { batch }: Numbers, work: Work): number {
  const heads = batch * Number(problem.sizes.heads);
  const bytes = work.held * heads * 4;
  const factor = bytes > mostBytes ? beyond : 1;
  return (
    factor * work.pairs * heads * pairCost(problem, bytes <= cached) +
    work.maskElements * elementWeight(problem, heads, work.cut) * nanoseconds.maskElement +
    4 * (work.sliced * nanoseconds.slicedByte + work.gathered * nanoseconds.gatheredByte) +
    work.nodes * nanoseconds.node
  );
}

/** Whether all scores at a time are more than should be held. */
export const tooManyScores = ({ sizes }: Pick<MaskProblem, "sizes">, { batch, queries, keys }: Numbers): boolean =>
  batch * Number(sizes.heads) * queries * keys * 4 > mostBytes;

/** Nanoseconds of all pairs, by the best kernel the target has. */
export function denseTime(problem: MaskProblem, numbers: Numbers, target: Target): number {
  const { batch, queries, keys } = numbers;
  const heads = batch * Number(problem.sizes.heads);
  const pairs = queries * keys;
  const { flashFrom } = target.choices;
  const { mask } = problem.program.formulas;
  const masked = mask !== everything;
  const isCausalOnly = mask === causalFormula;
  const flash = target.contrib && problem.isPlain && problem.added === constant(0);
  if (flash && isCausalOnly && keys >= flashFrom.causal) return pairs * heads * nanoseconds.flashCausalPair;
  if (flash && !masked && keys >= flashFrom.full) return pairs * heads * nanoseconds.flashPair;
  // Where lengths are open a mask is made once for all layers that have it; otherwise each makes its own.
  const making = isStatic(problem.sizes.queries) && !isCausalOnly ? 4 : 1;
  const maskElements = masked ? making * pairs : 0;
  return timeOf(problem, numbers, { pairs, held: pairs, maskElements, cut: true, sliced: 0, gathered: 0, nodes: 6 });
}
