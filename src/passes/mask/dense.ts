import { attrsOf, type Build } from "../../ir/arena.ts";
import { atScore, biasOn, everything, lowerOn, lowest, maskOn, staysFinite, wide } from "../../ir/attend.ts";
import { type Dim, isStatic, max, min, mul, sub } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { addedTo } from "../../ir/index-expr/added.ts";
import { applied, constant, score as theScore } from "../../ir/index-expr/types.ts";
import { attentionExtras, hasFormulas, scoreProgram } from "../../ir/ops/attention.ts";
import { swallows } from "../attention/depths.ts";
import { denseTime } from "./estimate.ts";
import type { Form } from "./form.ts";
import { gridOf } from "./part.ts";
import { partOf } from "./parts.ts";
import type { MaskProblem, Unseen } from "./problem.ts";

/** All pairs at once: kernels of attention where the formulas amount to a mask and a bias, else plain ops. */
export const dense: Form = {
  name: "mask-dense",
  formula: "attention = all queries × all keys, the mask and what the score function adds as tensors",
  refuses: [],
  plan: (problem, { target }) => ({
    time: (numbers) => denseTime(problem, numbers, target),
    holds: holds(problem),
    build: () => (problem.unseen ? withMeans(problem, problem.unseen) : denseAttention(problem)),
  }),
};

/** Rows of known lengths have a greatest score. */
const holds = ({ sizes, unseen }: MaskProblem): boolean =>
  isStatic(sizes.queries) && isStatic(sizes.keys) && unseen === undefined;

/** Hidden by a number that swallows scores, rows that see nothing are the mean of the values by themselves. */
function withMeans(problem: MaskProblem, { means }: Unseen): Value {
  const { node, b, isPlain } = problem;
  const out = isPlain && !attrsOf(node, "attention").causal ? denseAttention(problem, true) : undefined;
  return out ?? b.add(denseAttention(problem), means);
}

/** An attention, and what of it is computed outside of the branch it is in. */
export interface Ahead {
  readonly value: Value;
  readonly ahead: readonly Value[];
}

/** A length where it is less than `below`, else 1 (or 0, if it is): for below·(below - length) is no less than it only there. */
const whileBelow = (length: Dim, below: number): Dim =>
  max(min(length, 1), min(length, mul(below, sub(below, length))));

/**
 * All pairs of fewer than `below` queries, the mask computed ahead of the branch: once for all layers that have the same, and
 * for one query where there are too many. Undefined where no formula makes the mask, or the causal flag is all there is.
 */
export function denseBelow(problem: MaskProblem, below: number): Ahead | undefined {
  const { node, b, q, k, v, sizes, program, added, isPlain, unseen } = problem;
  const { mask: formula, causal, scale } = attrsOf(node, "attention");
  const isGiven = formula === everything && (!causal || (isPlain && node.operands.length === 3));
  const adds = isPlain || addsMask(problem);
  if (!adds || isGiven || isStatic(sizes.queries)) return undefined;
  const rows = whileBelow(sizes.queries, below);
  const on = gridOf(problem, { start: 0, end: rows, keys: [{ start: 0, end: sizes.keys }], full: false });
  const { dtype } = q.type;
  const mask = maskOn(b, program, on)!;
  const whole = (x: Value) => b.refine(x, { shape: x.type.shape.map((dim) => (dim === rows ? sizes.queries : dim)) });
  if (!isPlain) {
    const low = Math.max(swallows, lowest[dtype]!);
    const hiding = b.select(mask, b.scalar(0, dtype), b.scalar(low, dtype));
    return { value: hiddenAfter(node, b, whole(hiding)), ahead: [hiding] };
  }
  const bias = biasOn(b, program, dtype, added!, on);
  const ahead = joins(problem, bias)
    ? [b.select(mask, bias ?? b.scalar(0, dtype), b.scalar(unseen ? swallows : lowest[dtype]!, dtype))]
    : [mask, bias].filter((extra) => extra !== undefined);
  return { value: b.attention(q, k, v, ...ahead.map(whole), { scale }), ahead };
}

/**
 * Whether a mask goes into the bias, for kernels take one of the two: where that clears no row that is to be zero. Where
 * every row sees a key, the mask hides deeper than a bias may.
 */
const joins = ({ unseen, seesItself }: MaskProblem, bias: Value | undefined): boolean =>
  unseen !== undefined || (bias !== undefined && seesItself);

/** Whether a mask may be added to what a score function answers: it stays finite, and no row is to be zero. */
const addsMask = ({ node, program, unseen, seesItself }: MaskProblem): boolean => {
  const { normaliser, prob } = attrsOf(node, "attention");
  return (
    normaliser === "softmax" && prob === theScore() && staysFinite(program) && (unseen !== undefined || seesItself)
  );
};

/** An attention whose mask is what is added to its scores, after the score function. */
function hiddenAfter(node: Node, b: Build, hiding: Value): Value {
  const { scale, score, tables: count } = attrsOf(node, "attention");
  const [q, k, v, ...extras] = node.operands as [Value, Value, Value, ...Value[]];
  const { bias, tables } = attentionExtras(extras, count);
  const all = [...tables, hiding];
  const hidden = applied("add", score, atScore(tables.length, hiding.type));
  const attended = b.attention(q, k, v, ...(bias ? [bias] : []), ...all, { scale, score: hidden, tables: all.length });
  return scaledAhead(attended.node, b);
}

const narrowed = (b: Build, x: Value, to: DType) => (x.type.dtype === to ? x : b.cast(x, { to }));

/** The queries scaled in the place of the scores, of which there are more. */
function scaledAhead(node: Node, b: Build): Value {
  const { scale, ...attrs } = attrsOf(node, "attention");
  if (scale === 1) return node.results[0]!;
  const [q, ...others] = node.operands as [Value, ...Value[]];
  return b.attention(b.mul(q, b.scalar(scale, q.type.dtype)), ...(others as [Value, Value]), { ...attrs, scale: 1 });
}

function denseAttention(problem: MaskProblem, keepsMeans = false): Value {
  const { node, b, isPlain, held, sizes, q, k, v } = problem;
  const attrs = attrsOf(node, "attention");
  if (held && holds(problem)) {
    const keys = [{ start: 0, end: sizes.keys }];
    return partOf(problem, { start: 0, end: sizes.queries, keys, full: attrs.mask === everything && !attrs.causal });
  }
  if (!isPlain) return scaledAhead(node, b);
  if (!hasFormulas(node)) return node.results[0]!;
  const operands = attentionExtras(node.operands.slice(3), attrs.tables);
  const program = scoreProgram(node.operands as [Value, Value, Value], attrs);
  const lowered = attrs.mask === everything ? undefined : lowerOn(b, program, attrs.mask, "f64");
  const mask = lowered && operands.mask ? b.and(lowered, operands.mask) : (lowered ?? operands.mask);
  const added = addedTo(attrs.score)!;
  const { dtype } = q.type;
  const own = added === constant(0) ? undefined : narrowed(b, lowerOn(b, program, added, wide(dtype)), dtype);
  const bias = own && operands.bias ? b.add(own, operands.bias) : (own ?? operands.bias);
  const low = b.scalar(keepsMeans ? swallows : lowest[dtype]!, dtype);
  const isOne = keepsMeans || (!problem.unseen && joins(problem, bias));
  const joined = mask && isOne && b.select(mask, bias ?? b.scalar(0, dtype), low);
  const extras = joined ? [joined] : [mask, bias].filter((value) => value !== undefined);
  const { scale, causal } = attrs;
  return b.attention(q, k, v, ...extras, { scale, causal });
}
