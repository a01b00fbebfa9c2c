import { opDef } from "../../ir/arena.ts";
import { followAxis } from "../../ir/axis-flow.ts";
import { holdsGraphs } from "../../ir/cost.ts";
import type { Dim } from "../../ir/dim.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import { seesItself } from "../../ir/index-analysis/diagonal.ts";
import { score as theScore } from "../../ir/index-expr/types.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";
import { conjuncts, indexAxis, maskedBelow } from "../attention/causal.ts";
import { conjunction, liftedMask } from "../attention/lift.ts";
import { unseenUnder } from "../attention/unseen.ts";
import { linearOf } from "../projection/linear.ts";
import { takesFirst } from "./clear.ts";
import { followTokens, isRowOf, type KnownAtPadding, type PaddingMask, sameAxes, type TokenAxes } from "./padding.ts";

/** What becomes of a graph's values when only real tokens are computed. */
export interface Region {
  readonly mask: PaddingMask;
  /** Values [batch, length, …] computed row by row: on real tokens only. */
  readonly rows: ReadonlySet<Value>;
  /** What values are at padding, where that is one number. */
  readonly known: KnownAtPadding;
  /** Projections among the rows. */
  readonly products: readonly Node[];
}

/** Why a graph is not unpadded by a mask, and the value that stands in the way. */
export interface Blocked {
  readonly reason: string;
  readonly at: Value;
}

export const refusals = {
  mixes: "padded positions reach others",
  inside: "a branch or a loop reads tokens; graphs inside a graph are left as they are",
  outside: "no projection of tokens lies outside branches and loops",
  seen: "an attention sees padded keys",
  first: "the first position of each sequence is read, which may be padding; with unpad it is zero there",
  little: "too little work for each token to move it",
  shown: "an output shows padded positions; with unpad they are zero",
} as const;

/**
 * Follows tokens through the graph: rows, from the first projection on, as long as work goes row by row; what is
 * computed from them in between; up to where padding is known to make no difference. Answers what is in the way
 * where padding would reach real positions; undefined where no projection is applied to these tokens.
 */
export function regionOf(graph: Graph, mask: PaddingMask, known: KnownAtPadding): Region | Blocked | undefined {
  const state: State = { mask, known, rows: new Set(), touched: new Map(), means: new Map() };
  const products: Node[] = [];
  for (const node of nodesOf(graph)) {
    const averages = node.operands.flatMap((value) => state.means.get(value) ?? []);
    if (averages.length > 0) {
      const outcome = withMeans(state, node);
      if (!outcome) return averages[0];
      for (const result of node.results) {
        if (outcome === "mean") state.means.set(result, averages[0]!);
        else state.touched.set(result, outcome);
      }
      continue;
    }
    const carrying = node.operands.flatMap((value, i) => (isTouched(state, value) ? [i] : []));
    const linear = linearOf(node);
    const begins = linear !== undefined && isRowOf(mask, linear.x.type.shape);
    if (carrying.length === 0 && !begins && !node.operands.some((value) => state.rows.has(value))) continue;
    if (isByRow(state, node)) {
      for (const result of node.results) state.rows.add(result);
      if (linear) products.push(node);
      continue;
    }
    if (carrying.length === 0) continue;
    const axes = touchedAxes(state, node, carrying);
    if ("reason" in axes && node.op === "reduceMean") {
      state.means.set(node.results[0]!, axes);
      continue;
    }
    if ("reason" in axes) return axes;
    for (const result of node.results) if (!known.has(result)) state.touched.set(result, axes);
  }
  if (products.length === 0) return undefined;
  const mean = graph.outputs.flatMap(({ value }) => state.means.get(value) ?? [])[0];
  if (mean) return mean;
  const shown = graph.outputs.find(({ value }) => isTouched(state, value));
  return shown ? { reason: refusals.shown, at: shown.value } : { mask, known, rows: state.rows, products };
}

/** The axes tokens end up on in what a node makes of them position by position. */
function touchedAxes(state: State, node: Node, carrying: readonly number[]): TokenAxes | Blocked {
  const attends = attentionAxes(node);
  const axes = attends ? attended(state, node, attends) : commonAxes(state, node, carrying);
  if ("reason" in axes) return takesFirst(node) ? { ...axes, reason: refusals.first } : axes;
  const settled = node.results.map((result) => state.known.get(result));
  const fits = settled.every((at) => !at || sameAxes(at.axes, axes));
  return fits ? axes : blocked(node);
}

interface State {
  readonly mask: PaddingMask;
  readonly known: KnownAtPadding;
  readonly rows: Set<Value>;
  readonly touched: Map<Value, TokenAxes>;
  /** Means over tokens, padding among them, with why they stand in the way wherever they are shown. */
  readonly means: Map<Value, Blocked>;
}

/**
 * What becomes of a mean over tokens: nothing but movement, or a product with what is 0 for every token that is real, so
 * that the mean is shown at padding only.
 */
function withMeans(state: State, node: Node): "mean" | TokenAxes | undefined {
  if (node.op === "reshape" || node.op === "broadcast") return "mean";
  const factor = node.op === "mul" ? node.operands.find((value) => !state.means.has(value)) : undefined;
  const axes: TokenAxes = [0, 2];
  return factor && isZeroForReal(state, factor) && node.results[0]!.type.shape.length === 4 ? axes : undefined;
}

/** Whether a factor for rows that see nothing leaves out all that are real: these see themselves. */
function isZeroForReal({ known }: State, factor: Value): boolean {
  const under = unseenUnder(factor);
  const hides = (mask: Value) => {
    const found = known.get(mask);
    return found?.value === 0 && sameAxes(found.axes, [0, 3]);
  };
  if (!under || (under.places && indexAxis(under.places) !== 1)) return false;
  const masks = conjuncts(under.mask);
  const others = masks.filter((mask) => !hides(mask));
  const [query, key] = factor.type.shape.slice(2) as [Dim, Dim];
  if (key !== 1 || !masks.every(({ type }) => type.shape.at(-1) === query)) return false;
  const formulas = others.map((mask) => liftedMask(mask, { query: 1, key: 0 }));
  if (!formulas.every((formula) => formula !== undefined)) return false;
  return formulas.length === 0 || seesItself({ expr: conjunction(formulas), tables: [] }, query, query);
}

const leading: TokenAxes = [0, 1];

/** Whether a value is another at padding than it was: what is known there stays. */
const isTouched = ({ rows, touched, known }: State, value: Value): boolean =>
  (rows.has(value) || touched.has(value)) && !known.has(value);

const axesOf = ({ rows, touched }: State, value: Value): TokenAxes | undefined =>
  rows.has(value) ? leading : touched.get(value);

/** Whether row (b, s) of the results needs only row (b, s) of the operands that have rows. */
function isByRow(state: State, node: Node): boolean {
  if (holdsGraphs(node) || !node.results.every(({ type }) => isRowOf(state.mask, type.shape))) return false;
  return node.operands.every((value, i) => {
    const axes = axesOf(state, value);
    if (axes) return sameAxes(axes, leading) && followsLeading(node, i);
    const varying = varyingAxes(node, i);
    return varying.length === 0 || opDef(node.op).traits.includes("elementwise") || followsLeading(node, i);
  });
}

const followsLeading = (node: Node, operand: number): boolean => {
  const axes = followTokens(node, operand, leading);
  return axes !== undefined && sameAxes(axes, leading);
};

/** Axes along which an operand has an element for each batch or position of the result. */
export const varyingAxes = (node: Node, operand: number): readonly number[] =>
  [...node.operands[operand]!.type.shape.entries()].flatMap(([axis, dim]) => {
    const at = dim === 1 ? undefined : followAxis(node, operand, axis);
    return at === 0 || at === 1 ? [axis] : [];
  });

/** The axes tokens end up on, where all operands that carry them agree. */
function commonAxes(state: State, node: Node, carrying: readonly number[]): TokenAxes | Blocked {
  if (holdsGraphs(node)) return blocked(node, refusals.inside);
  const found = carrying.map((i) => followTokens(node, i, axesOf(state, node.operands[i]!)!));
  const [axes] = found;
  const agree = axes && found.every((each) => each && sameAxes(each, axes));
  return agree ? axes : blocked(node);
}

/** Where the operands of an attention have batch and positions. */
const attentionAxes = (node: Node): TokenAxes | undefined =>
  node.op === "attention" ? [0, 2] : node.op === "packedAttention" ? leading : undefined;

/** Whether some attention takes the input for a padding mask. */
export const isPaddingMask = (graph: Graph, known: KnownAtPadding): boolean =>
  nodesOf(graph).some((node) => attentionAxes(node) && hidesPadding(known, node));

/** An attention is touched where its queries are, provided that it gives padded keys no weight. */
function attended(state: State, node: Node, axes: TokenAxes): TokenAxes | Blocked {
  const { known } = state;
  const [q, k, v, ...extras] = node.operands as [Value, Value, Value, ...Value[]];
  const onAxes = (value: Value) => !isTouched(state, value) || sameAxes(axesOf(state, value)!, axes);
  if (![q, k, v].every(onAxes) || extras.some((value) => isTouched(state, value))) return blocked(node);
  const keys = [k, v].some((value) => isTouched(state, value));
  return keys && !hidesPadding(known, node) ? blocked(node, refusals.seen) : axes;
}

const blocked = (node: Node, reason: string = refusals.mixes): Blocked => ({ reason, at: node.results[0]! });

/** Whether an attention gives padded keys no weight. */
function hidesPadding(known: KnownAtPadding, node: Node): boolean {
  const extras = node.operands.slice(3);
  const { mask, bias } = attentionExtras(extras, node.attrs.get("tables") as number);
  const onKeys = (value: Value | undefined) => {
    const found = value && known.get(value);
    return found && sameAxes(found.axes, [0, 3]) ? found.value : undefined;
  };
  if (onKeys(mask) === 0) return true;
  const added = onKeys(bias);
  const isPlainSoftmax = node.attrs.get("normaliser") === "softmax" && node.attrs.get("score") === theScore();
  return isPlainSoftmax && added !== undefined && added <= maskedBelow;
}
