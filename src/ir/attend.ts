import { atLeast, type Dim, divideExact, sub } from "./dim.ts";
import type { DType } from "./dtype.ts";
import type { Value } from "./graph.ts";
import { type Bounds, boundsWithin, isModerate } from "./index-expr/bounds.ts";
import { type IndexFn, indexFunctions } from "./index-expr/functions.ts";
import type { Grid } from "./index-expr/grid.ts";
import { lowerFormula } from "./index-expr/lower.ts";
import { substituteParts } from "./index-expr/substitute.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexTable,
  index,
  joinedBy,
  type Lengths,
  lookup,
  score as theScore,
} from "./index-expr/types.ts";
import type { Emit } from "./op-def.ts";
import type { HostTensor } from "./tensor.ts";
import { toFloat64 } from "./tensor.ts";
import { sameShape, type TensorType } from "./types.ts";

/** The sizes of an attention. */
export interface AttentionShapes {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly kvHeads: Dim;
  readonly group: Dim;
  readonly queries: Dim;
  readonly keys: Dim;
  readonly width: Dim;
  readonly valueWidth: Dim;
}

/** The sizes of an attention, from the rank-4 shapes of q, k and v. */
export function attentionShapes(q: TensorType, k: TensorType, v: TensorType): AttentionShapes {
  const [batch, heads, queries, width] = q.shape as [Dim, Dim, Dim, Dim];
  const [, kvHeads, keys] = k.shape as [Dim, Dim, Dim];
  const group = divideExact(heads, kvHeads) ?? 0;
  return { batch, heads, kvHeads, group, queries, keys, width, valueWidth: v.shape[3]! };
}

/** The most negative finite number: masks with it, so that a fully masked row stays finite until it is zeroed. */
export const lowest: Readonly<Partial<Record<DType, number>>> = {
  f64: -Number.MAX_VALUE,
  f32: -3.4028234663852886e38,
  bf16: -3.3895313892515355e38,
  f16: -65504,
};

/** What an attention does between its two products. */
export interface ScoreProgram {
  readonly scale: number;
  readonly normaliser: string;
  /** Bool, stretching to the scores; true where a key is seen. */
  readonly mask?: Value | undefined;
  readonly bias?: Value | undefined;
  /** Query i sees keys 0 … i only; besides the mask formula. */
  readonly causal: boolean;
  /** Formulas over `tables`; a mask of 1, a score or a prob of `s` say nothing. */
  readonly formulas: Formulas;
  readonly tables: readonly IndexTable[];
  readonly lengths: Lengths;
}

export interface Formulas {
  readonly mask: IndexExpr;
  readonly score: IndexExpr;
  readonly prob: IndexExpr;
}

export const everything = constant(1);
export const causalFormula = applied("lessEqual", index("k"), index("q"));
/** What table number `table` of an attention, which stretches to the scores, holds for a score. */
export function atScore(table: number, { shape }: TensorType): IndexExpr {
  const names = ["b", "h", "q", "k"] as const;
  return lookup(
    table,
    names.map((name, axis) => (shape[axis] === 1 ? constant(0) : index(name))),
  );
}
export const both = (x: IndexExpr, y: IndexExpr): IndexExpr =>
  x === everything ? y : y === everything ? x : applied("and", x, y);

/** Where scores are computed that are not [B, H, Q, K] as they stand: their shape on a grid of as many axes. */
export interface GridOfScores {
  readonly grid: Grid;
  readonly shape: readonly Dim[];
  /** Bool on the grid: points that are pairs of a query and a key at all. */
  readonly valid?: Value | undefined;
  /** Every query sees a key: no row need be cleared. */
  readonly noEmptyRows?: boolean;
  /** Added to the scores of a softmax in place of the mask formula: 0 where a key is seen, else the lowest number. */
  readonly hiding?: Value | undefined;
  /** Scores of a softmax, finite ones, fall so far that weights would be subnormal: see `heldUp`. */
  readonly steep?: boolean;
}

/**
 * normaliser(score(scale · q kᵀ + bias), masked) v, each step in plain ops; q, k and v are rank 4. Rows that see no key
 * are zero.
 */
export const attendInSteps = (
  b: Emit,
  qkv: readonly [Value, Value, Value],
  program: ScoreProgram,
  on?: GridOfScores,
): Value => weighInSteps(b, qkv, program, on).out;

/** The same with the weights of the values, [batch, heads, queries, keys]: those of rows that see no key are any. */
export function weighInSteps(
  b: Emit,
  [q, k, v]: readonly [Value, Value, Value],
  program: ScoreProgram,
  on?: GridOfScores,
): { readonly out: Value; readonly weights: Value } {
  const sizes = attentionShapes(q.type, k.type, v.type);
  const { dtype } = q.type;
  const { formulas, normaliser, bias } = program;
  const flat = [sizes.batch, sizes.heads, sizes.queries, sizes.keys];
  const toGrid = (x: Value) => (on ? b.reshape(x, { shape: on.shape }) : x);
  const through = (expr: IndexExpr, x: Value): Value => {
    if (expr === theScore()) return x;
    const score = castTo(b, x, wide(dtype));
    const lowered = lowerOn(b, program, expr, wide(dtype), on, score);
    return b.broadcast(castTo(b, lowered, dtype), { shape: x.type.shape });
  };
  const scale = b.scalar(program.scale, dtype);
  // Forms that are chosen for speed scale the queries: there are fewer of them than scores.
  const asked = on ? b.mul(q, scale) : q;
  const product = groupedProduct(b, sizes, asked, k, "q d", "k d", "q k", sizes.keys);
  const raw = toGrid(on ? product : b.mul(product, scale));
  const open = through(formulas.score, bias ? b.add(raw, bias) : raw);
  const scores = on?.hiding && !on.steep ? b.add(open, on.hiding) : open;
  const hidden = maySayMinusInfinity(program) ? b.less(b.scalar(-Infinity, dtype), scores) : undefined;
  const mask = allOf(b, [program.mask, on?.hiding ? undefined : maskOn(b, program, on), hidden]);
  const soft = normaliser === "softmax";
  const low = b.scalar(soft ? lowest[dtype]! : 0, dtype);
  // A tensor that is smaller is added in less time than scores are chosen one by one, but leaves of them what is NaN.
  const isSmaller = mask && !sameShape(mask.type.shape, scores.type.shape) && staysFinite(program);
  const adds = on && soft && mask && (on.steep || isSmaller);
  const hiding = adds ? b.select(mask, b.scalar(0, dtype), low) : on?.hiding;
  const hide = (seen: Value) => (adds ? b.add(scores, hiding!) : b.select(seen, scores, low));
  const masked = on?.steep ? heldUp(b, scores, hiding) : mask ? hide(mask) : scores;
  const weights = normalised(b, masked, normaliser);
  const changed = through(formulas.prob, weights);
  // Masked keys weigh nothing, whatever sigmoid of 0 and the prob function say.
  const again = mask && (normaliser === "sigmoid" || formulas.prob !== theScore());
  const kept = again ? b.select(mask, changed, b.scalar(0, dtype)) : changed;
  const cleared = soft && mask && !again && !on?.noEmptyRows && !isCausalOnly(program, on);
  const back = on ? b.reshape(kept, { shape: flat }) : kept;
  const out = groupedProduct(b, sizes, back, v, "q k", "k d", "q d", sizes.valueWidth);
  if (!cleared) return { out, weights: back };
  const seen = seenRows(b, mask);
  return { out: clearRows(b, out, on ? rowsOf(b, seen, on, flat) : seen), weights: back };
}

/** Scores are held this far below one that is seen: e⁻⁶⁰ of its weight is far below what a float32 can tell from 0 beside it. */
const depth = 60;

/**
 * Scores less than `depth` below the greatest of the last keys, hidden where they are hidden: weights that are no less than
 * e⁻⁶⁰ of the row's greatest differ by no bit, and those that would be subnormal numbers (below e⁻⁸⁷, times slower to
 * multiply on many CPUs) are none. The last keys are as many as there are queries, the queries' own after a cache.
 */
function heldUp(b: Emit, scores: Value, hiding: Value | undefined): Value {
  const { dtype, shape } = scores.type;
  const axis = shape.length - 1;
  const [queries, keys] = [shape[axis - 1]!, shape[axis]!];
  const near = (x: Value): Value =>
    x.type.shape[axis] === keys && queries !== keys && atLeast(keys, queries)
      ? b.slice(x, { axis, start: sub(keys, queries), end: keys })
      : x;
  const seen = hiding ? b.add(near(scores), near(hiding)) : near(scores);
  const greatest = b.reduceMax(seen, { axes: [-1], keepDims: true });
  const held = b.max(scores, b.sub(greatest, b.scalar(depth, dtype)));
  return hiding ? b.add(held, hiding) : held;
}

/** Whether the score function answers a finite number for every score of less than 2³¹ and every pair, those that are hidden too. */
export function staysFinite({ formulas, tables }: ScoreProgram): boolean {
  const any = applied("sub", index("q"), index("k"));
  const moderate = substituteParts(formulas.score, (part) => (part === theScore() ? any : part));
  return isModerate(boundsWithin({}, tables)(moderate));
}

function normalised(b: Emit, scores: Value, normaliser: string): Value {
  if (normaliser === "softmax") return b.softmax(scores);
  if (normaliser === "sigmoid") return b.sigmoid(scores);
  return normaliser === "sum" ? divideBySum(b, scores, b.reduceSum(scores, { axes: [-1], keepDims: true })) : scores;
}

/** `x` over a sum of weights; where that is 0, no weight is there to be divided. */
export function divideBySum(b: Emit, x: Value, sum: Value): Value {
  const { dtype } = sum.type;
  return b.div(x, b.select(b.equal(sum, b.scalar(0, dtype)), b.scalar(1, dtype), sum));
}

/** Whether no mask but the causal one hides keys: then each query sees the first one at least. */
const isCausalOnly = (program: ScoreProgram, on?: GridOfScores): boolean =>
  !on &&
  program.causal &&
  program.mask === undefined &&
  program.formulas.mask === everything &&
  !maySayMinusInfinity(program);

/** The mask formula on a grid, valid points only; undefined where all are seen. */
export function maskOn(b: Emit, program: ScoreProgram, on?: GridOfScores): Value | undefined {
  const { formulas, causal, lengths } = program;
  const mask = on && causal ? both(causalFormula, formulas.mask) : formulas.mask;
  const lowered = mask === everything ? undefined : lowerOn(b, program, mask, "f64", on);
  return allOf(b, [lowered, causal && !on ? causalMask(b, lengths) : undefined, on?.valid]);
}

/** [1, 1, queries, keys], true where key ≤ query. */
export function causalMask(b: Emit, { Q, K }: Pick<Lengths, "Q" | "K">): Value {
  const queries = b.reshape(b.iota({ size: Q }), { shape: [Q, 1] });
  const keys = b.reshape(b.iota({ size: K }), { shape: [1, K] });
  return b.reshape(b.lessEqual(keys, queries), { shape: [1, 1, Q, K] });
}

/** What is added to the scores so that masked keys weigh nothing, and what the score function adds; undefined where nothing is. */
export function addedOn(
  b: Emit,
  program: ScoreProgram,
  dtype: DType,
  added: IndexExpr,
  on: GridOfScores,
): Value | undefined {
  const mask = maskOn(b, program, on);
  const own = biasOn(b, program, dtype, added, on);
  return mask ? b.select(mask, own ?? b.scalar(0, dtype), b.scalar(lowest[dtype]!, dtype)) : own;
}

/** What the score function adds, by itself. */
export const biasOn = (
  b: Emit,
  program: ScoreProgram,
  dtype: DType,
  added: IndexExpr,
  on: GridOfScores,
): Value | undefined =>
  added === constant(0) ? undefined : castTo(b, lowerOn(b, program, added, wide(dtype), on), dtype);

/** A formula of the program computed on its grid. */
export function lowerOn(
  b: Emit,
  { tables, lengths }: ScoreProgram,
  expr: IndexExpr,
  dtype: DType,
  on?: GridOfScores,
  score?: Value,
): Value {
  const options = { build: b, lengths, dtype, ...(on && { grid: on.grid }), ...(score && { score }) };
  return lowerFormula({ expr, tables }, options);
}

/** Conjunction of the conditions there are. */
export function allOf(b: Emit, conditions: readonly (Value | undefined)[]): Value | undefined {
  const given = conditions.filter((condition) => condition !== undefined);
  return given.length === 0 ? undefined : given.reduce((x, y) => b.and(x, y));
}

/** Scores of 16 bits are computed in f32: an index beyond 2048 is none of theirs. */
export const wide = (dtype: DType): "f64" | "f32" => (dtype === "f64" ? "f64" : "f32");
const castTo = (b: Emit, x: Value, to: DType) => (x.type.dtype === to ? x : b.cast(x, { to }));

/** `x` may be 0, as far as integers tell; what is measured is taken to be none. */
const mayBeNought = ({ low, high, whole }: Bounds): boolean => whole && low <= 0 && high >= 0;

/** Functions that are infinite somewhere, and whether they may be for operands within bounds. */
const diverges: Readonly<Partial<Record<IndexFn, (x: Bounds, y: Bounds) => boolean>>> = {
  log: (x) => x.low <= 0,
  log2: (x) => x.low <= 0,
  log10: (x) => x.low <= 0,
  log1p: (x) => x.low <= -1,
  atanh: (x) => x.low <= -1 || x.high >= 1,
  div: (_, y) => mayBeNought(y),
  pow: (x, y) => y.low < 0 && mayBeNought(x),
};

/**
 * Whether the score function may answer -Infinity where the mask lets a key through, which hides it as a mask does: from an
 * infinity it holds, the logarithm of 0 and the like. What tensors of floats hold is taken to be finite; with what a formula
 * compares to it answers nothing.
 */
export function maySayMinusInfinity({ formulas, causal, tables }: ScoreProgram): boolean {
  const bounds = boundsWithin({}, tables);
  const distance = applied("sub", index("q"), index("k"));
  const isCausal = causal || joinedBy("and", formulas.mask).includes(causalFormula);
  const seen = isCausal
    ? substituteParts(formulas.score, (part) => (part === distance ? applied("abs", distance) : part))
    : formulas.score;
  const answered = new Set([seen]);
  for (const part of answered) {
    const isHeld = part.kind === "number" || (part.kind === "lookup" && tables[part.table]!.kind === "constant");
    if (isHeld && !(Number.isFinite(bounds(part).low) && Number.isFinite(bounds(part).high))) return true;
    if (part.kind !== "apply" || indexFunctions[part.fn].truth) continue;
    const [x, y] = part.args.map(bounds) as [Bounds, Bounds];
    if (diverges[part.fn]?.(x, y)) return true;
    for (const arg of part.fn === "select" ? part.args.slice(1) : part.args) answered.add(arg);
  }
  return false;
}

/** True for rows that see a key: the mask's shape, with 1 in place of the keys. */
export function seenRows(b: Emit, mask: Value): Value {
  return b.cast(b.reduceMax(b.cast(mask, { to: "i32" }), { axes: [-1], keepDims: true }), { to: "bool" });
}

/** Rows of the scores as they stand, from rows on a grid. */
function rowsOf(b: Emit, seen: Value, { shape }: GridOfScores, flat: readonly Dim[]): Value {
  const rows = b.broadcast(seen, { shape: [...shape.slice(0, -1), 1] });
  return b.reshape(rows, { shape: [...flat.slice(0, -1), 1] });
}

/** Rows whose keys are all masked are zero. */
export const clearRows = (b: Emit, out: Value, seen: Value): Value => b.select(seen, out, b.scalar(0, out.type.dtype));

/** One product per query head; the heads of a group share the right operand. */
export function groupedProduct(
  b: Emit,
  s: AttentionShapes,
  x: Value,
  y: Value,
  xs: string,
  ys: string,
  out: string,
  last: Dim,
): Value {
  if (s.group === 1) return b.contract(x, y, { spec: `b h ${xs}, b h ${ys} -> b h ${out}` });
  const split = [s.batch, s.kvHeads, s.group, s.queries, x.type.shape[3]!];
  const grouped = b.contract(b.reshape(x, { shape: split }), y, { spec: `b h g ${xs}, b h ${ys} -> b h g ${out}` });
  return b.reshape(grouped, { shape: [s.batch, s.heads, s.queries, last] });
}

const constants = new WeakMap<HostTensor, Float64Array>();

/** Operands as the tables of a formula: constants are read, other tensors are not known before they run. */
export const tablesOf = (operands: readonly Value[]): readonly IndexTable[] =>
  operands.map((value, i): IndexTable => {
    const shared = { name: `table${i}`, truth: value.type.dtype === "bool" };
    if (value.node.op !== "constant") return { ...shared, kind: "tensor", value };
    const tensor = value.node.attrs.get("value") as HostTensor;
    let data = constants.get(tensor);
    if (!data) constants.set(tensor, (data = Float64Array.from(toFloat64(tensor))));
    return { ...shared, kind: "constant", dims: tensor.dims, data };
  });
