import { attrsOf } from "./arena.ts";
import { add, coefficients, type Dim, evaluate, isStatic, max, mul, sub, symbol, symbolsOf } from "./dim.ts";
import { isFloat } from "./dtype.ts";
import { type Graph, nodesOf, type Value } from "./graph.ts";
import type { HostTensor } from "./tensor.ts";

/** A table with as many rows as `rows`, of which a run reads as many as `read` from the start. */
interface Reading {
  readonly rows: number;
  readonly read: Dim;
}

/**
 * The sizes, those not given halved while a table is shorter than what is read of it: positions that are counted, a
 * slice as long as the sequence.
 */
export function fittingTables(
  graph: Graph,
  dims: ReadonlyMap<string, number>,
  given: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const sizes = new Map(dims);
  for (const { rows, read } of readings(graph)) {
    const names = symbolsOf(read);
    const free = names.filter((name) => !given.has(name));
    if (!names.every((name) => sizes.has(name))) continue;
    while (evaluate(read, sizes) > rows && free.some((name) => sizes.get(name)! > 1))
      for (const name of free) sizes.set(name, Math.ceil(sizes.get(name)! / 2));
  }
  return sizes;
}

/**
 * How long dimensions can be before a table ends that is read as far: positions of a model, a stored mask. What is read may
 * be less than it seems, so that a model may take more: this steers choices, never meaning.
 */
export function lengthLimits(graph: Graph): ReadonlyMap<Dim, number> {
  const limits = new Map<Dim, number>();
  const limit = (dim: Dim, most: number) => limits.set(dim, Math.min(most, limits.get(dim) ?? most));
  for (const { rows, read } of readings(graph)) {
    if (isStatic(read)) continue;
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
    return isStatic(rows) && last !== undefined ? [{ rows, read: add(last, 1) }] : [];
  });
}

/** The largest element of integers that are counted from sizes, where their operands' are known: an upper bound. */
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
    case "slice":
    case "refine":
      return x;
    case "add":
      return x === undefined || y === undefined ? undefined : add(x, y);
    case "sub":
      return x === undefined || y === undefined || !isOne(node.operands[1]!) ? undefined : sub(x, y);
    case "mul":
      return x === undefined || y === undefined ? undefined : mul(x, y);
    case "select":
      return y === undefined || z === undefined ? undefined : max(y, z);
    case "cumsum":
      return x === undefined ? undefined : mul(x, node.operands[0]!.type.shape.at(attrsOf(node, "cumsum").axis)!);
    default:
      return type.dtype === "bool" ? 1 : undefined;
  }
}

/** Whether a value is a constant of one element. */
const isOne = ({ node, type }: Value): boolean => node.op === "constant" && type.shape.length === 0;

/** More elements are not looked through. */
const fewElements = 2 ** 16;

function largestOf({ dtype, data }: HostTensor): number | undefined {
  if (isFloat(dtype) || data.length > fewElements) return undefined;
  const most = Array.from(data as ArrayLike<number | bigint>, Number).reduce((a, b) => Math.max(a, b), 0);
  return Number.isSafeInteger(most) ? most : undefined;
}
