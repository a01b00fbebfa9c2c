import { attrsOf } from "./arena.ts";
import {
  add,
  atLeast,
  coefficients,
  type Dim,
  evaluate,
  isStatic,
  max,
  mul,
  show,
  sub,
  symbol,
  symbolsOf,
} from "./dim.ts";
import { isFloat } from "./dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";
import type { HostTensor } from "./tensor.ts";
import { axisFromFirst } from "./types.ts";

/** A table with as many rows as `rows`, of which a run reads as many as `read` from the start. */
interface Reading {
  readonly rows: Dim;
  readonly read: Dim;
}

/** Tables fit one another after a few rounds, or never. */
const mostRounds = 8;

/**
 * The sizes, those not given changed where a table is shorter than what is read of it: positions that are counted, a
 * slice as long as the sequence. A table that is as long as a dimension, as a mask is, grows; else what is read is halved.
 */
export function fittingTables(
  graph: Graph,
  dims: ReadonlyMap<string, number>,
  given: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const sizes = new Map(dims);
  const isKnown = (dim: Dim) => symbolsOf(dim).every((name) => sizes.has(name));
  const tables = readings(graph)
    .flatMap(axesOf)
    .filter(({ rows, read }) => isKnown(rows) && isKnown(read));
  for (let round = 0; round < mostRounds; round++) {
    let fits = true;
    for (const { rows, read } of tables) {
      if (evaluate(read, sizes) <= evaluate(rows, sizes)) continue;
      fits = false;
      const [only] = symbolsOf(rows);
      if (only !== undefined && show(rows) === only && !given.has(only)) sizes.set(only, evaluate(read, sizes));
      const free = symbolsOf(read).filter((name) => !given.has(name));
      while (evaluate(read, sizes) > evaluate(rows, sizes) && free.some((name) => sizes.get(name)! > 1))
        for (const name of free) sizes.set(name, Math.ceil(sizes.get(name)! / 2));
    }
    if (fits) break;
  }
  return sizes;
}

/** Of a table of n · m rows that is read up to (p - 1) · m + r, as a mask made flat is: n is p at least, and m is r. */
function axesOf({ rows, read }: Reading): readonly Reading[] {
  for (const name of symbolsOf(rows)) {
    const [rest, outer, ...more] = coefficients(rows, name) ?? [];
    const [inner, before, ...others] = coefficients(read, name) ?? [];
    if (rest !== 0 || outer === undefined || before === undefined || more.length + others.length > 0) continue;
    if (!atLeast(before, outer))
      return [
        { rows: symbol(name), read: inner! },
        { rows: outer, read: add(before, 1) },
      ];
  }
  return [{ rows, read }];
}

/**
 * How long dimensions can be before a table ends that is read as far: positions of a model, a stored mask. What is read may
 * be less than it seems, so that a model may take more: this steers choices, never meaning.
 */
export function lengthLimits(graph: Graph): ReadonlyMap<Dim, number> {
  const limits = new Map<Dim, number>();
  const limit = (dim: Dim, most: number) => limits.set(dim, Math.min(most, limits.get(dim) ?? most));
  for (const { rows, read } of readings(graph)) {
    if (isStatic(read) || !isStatic(rows)) continue;
    limit(read, rows);
    const names = symbolsOf(read);
    const [rest, slope, ...higher] = names.length === 1 ? (coefficients(read, names[0]!) ?? []) : [];
    if (rest !== undefined && isStatic(rest) && slope === 1 && higher.length === 0)
      limit(symbol(names[0]!), rows - rest);
  }
  return limits;
}

function readings(graph: Graph): readonly Reading[] {
  const known = new Map<Value, Dim | undefined>(graph.inputs.map((value) => [value, largest(value, () => undefined)]));
  return nodesOf(graph).flatMap((node): readonly Reading[] => {
    for (const value of node.results)
      known.set(
        value,
        largest(value, (operand) => known.get(operand)),
      );
    if (node.op !== "slice" && node.op !== "gather") return [];
    const rows = node.operands[0]!.type.shape.at(attrsOf(node, node.op).axis)!;
    const last = node.op === "gather" ? known.get(node.operands[1]!) : sub(attrsOf(node, "slice").end, 1);
    return last === undefined ? [] : [{ rows, read: add(last, 1) }];
  });
}

/**
 * The largest element of integers that are counted from sizes, where their operands' are known: an upper bound, if none that
 * is multiplied is negative.
 */
function largest({ node, type }: Value, of: (operand: Value) => Dim | undefined): Dim | undefined {
  const [x, y, z] = node.operands.map(of);
  switch (node.op) {
    case "iota":
      return sub(attrsOf(node, "iota").size, 1);
    case "input":
      return type.dtype === "bool" || /mask$/.test(attrsOf(node, "input").name) ? 1 : undefined;
    case "size":
      return attrsOf(node, "size").of;
    case "constant":
      return largestOf(attrsOf(node, "constant").value);
    case "cast":
    case "reshape":
    case "transpose":
    case "broadcast":
    case "refine":
      return x;
    case "slice":
      return of(sliced(node));
    case "add":
      return x === undefined || y === undefined ? undefined : add(x, y);
    case "sub":
      return x === undefined || y === undefined || !isNumber(node.operands[1]!) ? undefined : sub(x, y);
    case "mul":
      return x === undefined || y === undefined ? undefined : mul(x, y);
    case "select":
      // Indices that count from the end are wrapped so, those that are counted up from 0 among them.
      if (isNegative(node.operands[0]!, node.operands[2]!)) return z;
      return y === undefined || z === undefined ? undefined : max(y, z);
    case "cumsum":
      return x === undefined ? undefined : mul(x, node.operands[0]!.type.shape.at(attrsOf(node, "cumsum").axis)!);
    default:
      return type.dtype === "bool" ? 1 : undefined;
  }
}

/** What a slice is of: of a concatenation along its axis the part it lies in, where that is known. */
function sliced(node: Node): Value {
  const [whole] = node.operands;
  const rank = whole!.type.shape.length;
  const { axis, start, end } = attrsOf(node, "slice");
  const at = axisFromFirst(axis, rank);
  if (whole!.node.op !== "concat" || axisFromFirst(attrsOf(whole!.node, "concat").axis, rank) !== at) return whole!;
  let from: Dim = 0;
  for (const part of whole!.node.operands) {
    const to = add(from, part.type.shape[at]!);
    if (atLeast(start, from) && atLeast(to, end)) return part;
    from = to;
  }
  return whole!;
}

/** `x < 0`. */
const isNegative = ({ node }: Value, x: Value): boolean =>
  node.op === "less" && node.operands[0] === x && largest(node.operands[1]!, () => undefined) === 0;

/** Whether a value is a constant of one element. */
const isNumber = ({ node, type }: Value): boolean => node.op === "constant" && type.shape.length === 0;

/** More elements are not looked through. */
const fewElements = 2 ** 16;

function largestOf({ dtype, data }: HostTensor): number | undefined {
  if (isFloat(dtype) || data.length > fewElements) return undefined;
  const most = Array.from(data as ArrayLike<number | bigint>, Number).reduce((a, b) => Math.max(a, b), -Infinity);
  return Number.isSafeInteger(most) ? most : undefined;
}
