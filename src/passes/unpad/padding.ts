import { type Arena, attrRecord, opDef } from "../../ir/arena.ts";
import { followAxis } from "../../ir/axis-flow.ts";
import type { Dim } from "../../ir/dim.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import { elementCount, type HostTensor, toFloat64 } from "../../ir/tensor.ts";

/** A padding mask: tokens are real where `source`, [batch, length], is not 0. */
export interface PaddingMask {
  readonly source: Value;
  readonly batch: Dim;
  readonly length: Dim;
}

/** An input as a padding mask: one number for each position of each sequence. Undefined for inputs of another shape. */
export function paddingMaskOf(source: Value): PaddingMask | undefined {
  const [batch, length, ...more] = source.type.shape;
  const isGrid = batch !== undefined && length !== undefined && more.length === 0 && length !== 1;
  return isGrid ? { source, batch, length } : undefined;
}

/** Whether a shape is [batch, length, …]. */
export const isRowOf = ({ batch, length }: PaddingMask, shape: readonly Dim[]): boolean =>
  shape[0] === batch && shape[1] === length;

/** [batch, length], true for real tokens. */
export function realTokens({ source }: PaddingMask, { build: b }: Arena): Value {
  const { dtype } = source.type;
  return dtype === "bool" ? source : b.not(b.equal(source, b.scalar(0, dtype)));
}

/** The axes of a value that are the batch and the positions of a padding mask. */
export type TokenAxes = readonly [batch: number, position: number];

/** What a value is wherever a token is padding: one number, whatever the other inputs are. */
export interface AtPadding {
  readonly axes: TokenAxes;
  readonly value: number;
}

export type KnownAtPadding = ReadonlyMap<Value, AtPadding>;

export const sameAxes = (a: TokenAxes, b: TokenAxes): boolean => a[0] === b[0] && a[1] === b[1];

/** Both axes through a node, from one operand. */
export function followTokens(node: Node, operand: number, [batch, position]: TokenAxes): TokenAxes | undefined {
  const axes = [followAxis(node, operand, batch), followAxis(node, operand, position)] as const;
  return axes[0] === undefined || axes[1] === undefined ? undefined : (axes as TokenAxes);
}

/**
 * Values that are known at padding, which is where `source`, [batch, length], is 0: the source itself and what is
 * computed from it element by element, be it a condition, a factor of 0, or what is added to scores.
 */
export function knownAtPadding(graph: Graph, source: Value): KnownAtPadding {
  const known = new Map<Value, AtPadding>([[source, { axes: [0, 1], value: 0 }]]);
  for (const node of nodesOf(graph)) {
    const reached = node.operands.flatMap((value, i) => (known.has(value) ? [i] : []));
    if (reached.length === 0 || node.results.length > 1) continue;
    const found = reached.map((i) => followTokens(node, i, known.get(node.operands[i]!)!.axes));
    const axes = found.find((each) => each !== undefined);
    if (!axes || !found.every((each) => each && sameAxes(each, axes))) continue;
    const value = elementOf(
      node,
      node.operands.map((operand) => known.get(operand)?.value ?? uniform(operand)),
    );
    if (value !== undefined) known.set(node.results[0]!, { axes, value });
  }
  return known;
}

/** The number all elements of a constant are. */
export function uniform({ node, type }: Value): number | undefined {
  if (node.op === "broadcast") return uniform(node.operands[0]!);
  if (node.op !== "constant" || elementCount(type.shape as readonly number[]) !== 1) return undefined;
  return toFloat64(node.attrs.get("value") as HostTensor)[0];
}

/** One element of the result from one element of each operand, as far as they are known. */
function elementOf(node: Node, operands: readonly (number | undefined)[]): number | undefined {
  const def = opDef(node.op);
  if (def.absorbing !== undefined && operands.includes(def.absorbing)) return def.absorbing;
  if (node.op === "select" && operands[0] !== undefined) return operands[operands[0] === 0 ? 2 : 1];
  if (operands.some((value) => value === undefined)) return undefined;
  if (node.op === "reshape" || node.op === "transpose" || node.op === "broadcast") return operands[0];
  if (!def.traits.includes("elementwise") || !def.evaluate) return undefined;
  const scalars = operands.map((value) => ({ dims: [], data: Float64Array.of(value!) }));
  const made = def.evaluate(scalars, {
    attrs: attrRecord(node),
    types: node.operands.map(({ type }) => type),
    results: node.results.map(({ type }) => ({ dtype: type.dtype, dims: [] })),
    size: () => 0,
    call: () => [],
  });
  return "data" in made ? made.data[0] : undefined;
}
