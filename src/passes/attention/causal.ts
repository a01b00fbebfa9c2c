import { attrsOf } from "../../ir/arena.ts";
import { add, type Dim } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Node, Value } from "../../ir/graph.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { toFloat64 } from "../../ir/tensor.ts";
import { axisFromFirst } from "../../ir/types.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";

/** Added to scores, or put in their place, this and less leaves no weight. */
export const maskedBelow = -1e4;

/** Where queries and keys are in a mask, counted from its last axis. */
export interface PairAxes {
  readonly query: number;
  readonly key: number;
}

/** Whether a boolean mask lets each query see exactly the keys up to its own position, both counted from the start. */
export function isCausalMask(mask: Value, axes: PairAxes): boolean {
  if (firstOfTriangle(mask, axes) === 0) return true;
  const pair = comparedIndices(withoutLeadingAxes(mask).node);
  return pair !== undefined && indexAxis(pair.below) === axes.key && indexAxis(pair.above) === axes.query;
}

/**
 * Of a mask cut out of a constant in which each query sees the keys up to its own position: which query of the constant
 * is the first; undefined for any other.
 */
export function firstOfTriangle(mask: Value, axes: PairAxes): Dim | undefined {
  const cut = cutOf(mask, axes);
  return cut && isTriangleMask(cut.tensor, axes) ? cut.first : undefined;
}

/** What is x ≠ 0. */
function comparedWithNothing({ node }: Value): Value | undefined {
  const [equal] = node.op === "not" ? node.operands : [];
  return equal?.node.op === "equal" && scalarOf(equal.node.operands[1]!) === 0 ? equal.node.operands[0] : undefined;
}

/** The constant a mask or bias is the first keys of, from the query `first` on. */
function cutOf(value: Value, axes: PairAxes): { readonly tensor: HostTensor; readonly first: Dim } | undefined {
  let current = withoutLeadingAxes(value);
  let first: Dim = 0;
  for (;;) {
    const compared = comparedWithNothing(current);
    if (compared) {
      current = withoutLeadingAxes(compared);
      continue;
    }
    if (current.node.op !== "slice" && current.node.op !== "cast") break;
    const inner = current.node.operands[0]!;
    // Between numbers a cast may round to 0.
    if (current.node.op === "cast" && current.type.dtype !== "bool" && inner.type.dtype !== "bool") return undefined;
    if (current.node.op === "slice") {
      const { axis, start } = attrsOf(current.node, "slice");
      const { length } = inner.type.shape;
      const fromLast = length - 1 - axisFromFirst(axis, length);
      if (fromLast === axes.query) first = add(first, start);
      else if (start !== 0) return undefined;
    }
    current = withoutLeadingAxes(inner);
  }
  const tensor = tensorOf(current);
  return tensor && { tensor, first };
}

const triangles = new WeakMap<HostTensor, Map<string, boolean>>();

function isTriangleMask(tensor: HostTensor, axes: PairAxes): boolean {
  const known = triangles.get(tensor) ?? new Map<string, boolean>();
  triangles.set(tensor, known);
  const key = `${axes.query} ${axes.key}`;
  const found = known.get(key) ?? isTriangle(tensor, axes, (element) => Number(element) !== 0);
  known.set(key, found);
  return found;
}

/** Whether an additive bias is zero where a causal mask is on and masks where it is off. */
export function isCausalBias(bias: Value, axes: PairAxes, masked: (element: number) => boolean): boolean {
  const cut = cutOf(bias, axes);
  if (cut?.first !== 0) return false;
  const values = toFloat64(cut.tensor);
  return isTriangle(
    cut.tensor,
    axes,
    (_, i) => values[i] === 0,
    (_, i) => masked(values[i]!),
  );
}

type Test = (element: number | bigint, at: number) => boolean;

function isTriangle(tensor: HostTensor, axes: PairAxes, on: Test, off: Test = (e, i) => !on(e, i)): boolean {
  const { dims, data } = tensor;
  if (axes.query > 1 || axes.key > 1 || dims.length < 2 || dims.slice(0, -2).some((dim) => dim !== 1)) return false;
  const [rows, columns] = dims.slice(-2) as [number, number];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const [query, key] = axes.query === 1 ? [row, column] : [column, row];
      if (!(key <= query ? on : off)(data[at]!, at)) return false;
    }
  return rows > 1 && columns > 1;
}

interface Comparison {
  readonly below: Value;
  readonly above: Value;
  readonly strict: boolean;
}

/** `below ≤ above` or `below < above`, also where it is written as the opposite denied. */
function comparison(node: Node): Comparison | undefined {
  const [first, second] = node.operands;
  if (node.op === "lessEqual" || node.op === "less")
    return { below: first!, above: second!, strict: node.op === "less" };
  const denied = node.op === "not" ? comparison(first!.node) : undefined;
  return denied && { below: denied.above, above: denied.below, strict: !denied.strict };
}

/** `below ≤ above` of a comparison. */
function comparedIndices(node: Node): Comparison | undefined {
  const pair = comparison(node);
  return pair?.strict ? undefined : pair;
}

/** Types that hold every position. */
export const holdsPositions: ReadonlySet<DType> = new Set(["i32", "i64", "f32", "f64"]);

const isExactCast = ({ node, type }: Value): boolean => node.op === "cast" && holdsPositions.has(type.dtype);

/** The axis, counted from the last, along which a value is 0, 1, 2, …; undefined where it is anything else. */
export function indexAxis(value: Value): number | undefined {
  let current = value;
  while (current.node.op === "broadcast" || isExactCast(current)) current = current.node.operands[0]!;
  if (current.node.op === "reshape") {
    const { shape } = current.type;
    const long = shape.map((dim, axis) => ({ dim, axis })).filter(({ dim }) => dim !== 1);
    if (long.length !== 1 || !isIota(current.node.operands[0]!)) return undefined;
    return shape.length - 1 - long[0]!.axis;
  }
  if (isIota(current)) return 0;
  const tensor = tensorOf(current);
  return tensor ? constantIndexAxis(tensor) : undefined;
}

function isIota(value: Value): boolean {
  let current = value;
  while (isExactCast(current)) current = current.node.operands[0]!;
  return current.node.op === "iota";
}

function constantIndexAxis(tensor: HostTensor): number | undefined {
  const axis = tensor.dims.findIndex((dim) => dim !== 1);
  const single = axis >= 0 && tensor.dims.every((dim, i) => i === axis || dim === 1);
  return single && toFloat64(tensor).every((element, i) => element === i) ? tensor.dims.length - 1 - axis : undefined;
}

/** Without reshapes and broadcasts that only add axes in front. */
export function withoutLeadingAxes(value: Value): Value {
  let current = value;
  while (current.node.op === "reshape" || current.node.op === "broadcast") {
    const below = current.node.operands[0]!;
    const added = current.type.shape.length - below.type.shape.length;
    const same = below.type.shape.every((dim, i) => dim === current.type.shape[i + added]);
    const ones =
      current.node.op === "broadcast" || current.type.shape.slice(0, Math.max(0, added)).every((d) => d === 1);
    if (added < 0 || !same || !ones) break;
    current = below;
  }
  return current;
}

const carries = new Set("add sub mul div neg select cast reshape broadcast transpose slice".split(" "));
const most = 64;

/** Whether an additive bias hides by numbers that are finite. */
export function isFiniteBias(bias: Value): boolean {
  let current = withoutLeadingAxes(bias);
  while (current.node.op === "slice") current = withoutLeadingAxes(current.node.operands[0]!);
  const tensor = tensorOf(current);
  return !tensor || toFloat64(tensor).every(Number.isFinite);
}

/** Whether a bias is made with numbers that leave no weight where they are added: a mask, in whatever spelling. */
export function mayHide(bias: Value): boolean {
  const open = new Set([bias]);
  for (const value of open) {
    const tensor = tensorOf(value);
    if (tensor && toFloat64(tensor).some((element) => Math.abs(element) >= -maskedBelow)) return true;
    if (carries.has(value.node.op) && open.size < most) for (const operand of value.node.operands) open.add(operand);
  }
  return false;
}

/** The parts of a conjunction. */
export function conjuncts(mask: Value): readonly Value[] {
  const parts: Value[] = [];
  const open = [mask];
  for (let value = open.pop(); value; value = open.pop()) {
    if (value.node.op === "and") open.push(...value.node.operands);
    else parts.push(value);
  }
  return parts;
}

/** A mask that is added: where it `keeps` it is on where keys are seen, otherwise where they are hidden. */
export interface AddedMask {
  readonly mask: Value;
  readonly keeps: boolean;
  readonly fill: number;
}

/** `select(mask, 0, very negative)`, or the other way round, read as the mask it is. */
export function maskOfBias(bias: Value, masked: (element: number) => boolean): AddedMask | undefined {
  let current = bias;
  while (current.node.op === "cast") current = current.node.operands[0]!;
  if (current.node.op !== "select") return undefined;
  const [mask, on, off] = current.node.operands as [Value, Value, Value];
  const keeps = scalarOf(on) === 0;
  const fill = scalarOf(keeps ? off : on) ?? 0;
  return (keeps || scalarOf(off) === 0) && masked(fill) ? { mask, keeps, fill } : undefined;
}
