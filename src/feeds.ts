import { type InputSpec, randomInputs } from "./backends/ort/inputs.ts";
import { attrsOf } from "./ir/arena.ts";
import { bindDims } from "./ir/bind-dims.ts";
import { holdsGraphs, subgraphsOf } from "./ir/cost.ts";
import { fail } from "./ir/diagnostics.ts";
import { type Dim, evaluate, isStatic, symbolsOf } from "./ir/dim.ts";
import { type DType, endsOf, isFloat, isInteger } from "./ir/dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "./ir/graph.ts";
import { fittingTables } from "./ir/table-sizes.ts";
import type { HostTensor } from "./ir/tensor.ts";
import { isBatch } from "./passes/assumed-size.ts";

/** Sizes taken for symbols that nobody gave: one sequence of 128, or a second of sound. */
export function defaultSize(graph: Graph, symbol: string): number {
  if (/samples$/i.test(symbol)) return 16_000;
  return isBatch(symbol) || isUnnamedBatch(graph, symbol) ? 1 : 128;
}

/** Whether a symbol whose name says nothing, `s23` of PyTorch or `ids.0` for none at all, leads the shapes it is in. */
const isUnnamedBatch = ({ inputs }: Graph, symbol: string): boolean =>
  /^[su]\d+$|\.0$/.test(symbol) &&
  inputs.every(({ type: { shape } }) => {
    const [lead, ...rest] = shape.map((dim) => symbolsOf(dim).includes(symbol));
    return !rest.includes(true) && (!lead || rest.length > 0);
  });

/** The named dimensions of a graph's inputs, in order of appearance. */
export const symbolsIn = (graph: Graph): readonly string[] => [
  ...new Set(graph.inputs.flatMap(({ type }) => type.shape.flatMap(symbolsOf))),
];

/** Throws QKV504 where `given` names a dimension the graph does not have. */
export function checkDims(graph: Graph, given: ReadonlyMap<string, number>): void {
  const known = symbolsIn(graph);
  for (const name of given.keys())
    if (!known.includes(name))
      fail("QKV504", `@${graph.name} has no dimension "${name}"`, {
        help: known.length > 0 ? `it has ${known.join(", ")}` : "all its dimensions are fixed",
      });
}

/**
 * A size for every symbol of the graph's inputs: those given, for the others defaults that leave something of everything
 * and do not read past the end of a table. Throws QKV504.
 */
export function completeDims(graph: Graph, given: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  checkDims(graph, given);
  const sizes = symbolsIn(graph).map((name) => [name, given.get(name) ?? defaultSize(graph, name)] as const);
  return usableSizes(graph, new Map(sizes), given);
}

/** The sizes, those not given changed so that they leave something of everything and do not read past the end of a table. */
export const usableSizes = (
  graph: Graph,
  dims: ReadonlyMap<string, number>,
  given: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, number> => fittingTables(graph, leavingSome(graph, dims, given), given);

/** Sizes that are looked for end here. */
const largestSize = 2 ** 24;

/** The sizes, those not given doubled where a window or a stride would leave nothing anywhere in the graph. */
function leavingSome(
  graph: Graph,
  dims: ReadonlyMap<string, number>,
  given: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const all = new Set(nodesOf(graph).flatMap(({ results }) => results.flatMap(({ type }) => type.shape)));
  const sizes = new Map(dims);
  for (const dim of all) {
    const names = symbolsOf(dim);
    if (!hasCall(dim) || !names.every((name) => sizes.has(name))) continue;
    for (const name of names.filter((one) => !given.has(one)))
      sizes.set(name, grown(dim, sizes, name) ?? sizes.get(name)!);
  }
  return sizes;
}

/** The size of `name`, doubled until the dimension is at least 1; undefined where it does not get there. */
function grown(dim: Dim, sizes: ReadonlyMap<string, number>, name: string): number | undefined {
  for (let size = sizes.get(name)!; size < largestSize; size *= 2)
    if (evaluate(dim, new Map([...sizes, [name, size]])) >= 1) return size;
  return undefined;
}

const hasCall = (dim: Dim): boolean =>
  !isStatic(dim) && dim.terms.some(({ factors }) => factors.some(([{ kind }]) => kind === "call"));

/**
 * A size for every symbol of the graph's inputs, as these tensors have them. Throws QKV240 and QKV241 where they are not
 * the graph's inputs, QKV242 where they contradict its shapes or the sizes given, QKV504.
 */
export function dimsOfFeeds(
  graph: Graph,
  feeds: ReadonlyMap<string, HostTensor>,
  given: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, number> {
  const declared = new Map(graph.inputs.map(({ node }) => [attrsOf(node, "input").name, attrsOf(node, "input")]));
  const names = [...declared.keys()].join(", ");
  for (const name of feeds.keys())
    if (!declared.has(name))
      fail("QKV241", `@${graph.name} has no input "${name}"`, { help: `its inputs are ${names}` });
  const pairs = Array.from(declared, ([name, { dtype, shape }]) => {
    const { dims, dtype: actual } = feeds.get(name) ?? fail("QKV240", `no tensor is given for the input "${name}"`);
    if (actual !== dtype) fail("QKV242", `the input "${name}" is ${dtype}, ${actual} was given`);
    return { name, shape, dims };
  });
  checkDims(graph, given);
  return completeDims(graph, bindDims(pairs, given));
}

/**
 * Random inputs a graph can take: floats are normal, indices stay within what they index, position ids are the last
 * positions there are, other integers are padding masks of ones and zeros. `varied` floats and integers come in rows of
 * special structure instead: zeros, equal elements, large and tiny ones, masks that hide everything; where `masked`,
 * integers and bools alone do. Where `wide`, integers that index nothing are of either sign and beyond 8 bits, as far as
 * their type goes. Depends on nothing but the arguments.
 */
export function randomFeeds(
  graph: Graph,
  dims: ReadonlyMap<string, number>,
  seed: number,
  style: "plain" | "masked" | "varied" | "wide" = "plain",
): Map<string, HostTensor> {
  const limits = indexLimits(graph, dims);
  const inputs = graph.inputs.map((value) => {
    const { name, dtype, shape } = attrsOf(value.node, "input");
    return { value, name, dtype, dims: shape.map((dim) => evaluate(dim, dims)) };
  });
  const length = Math.max(
    0,
    ...inputs.filter(({ dtype }) => isInteger(dtype)).map(({ dims: sizes }) => sizes.at(-1) ?? 0),
  );
  const specs = inputs.map(({ value, ...spec }): InputSpec => {
    const high = limits.get(value);
    if (style === "varied" || (style === "masked" && !isFloat(spec.dtype))) {
      const range = isFloat(spec.dtype) ? {} : { low: 0, high: high ?? 2 };
      return { ...spec, fill: { kind: "rows", ...range } };
    }
    if (!isInteger(spec.dtype)) return spec;
    if (high !== undefined) return { ...spec, fill: { kind: "integers", low: 0, high } };
    if (style === "wide") return { ...spec, fill: { kind: "rows", ...wideRange(spec.dtype) } };
    if (/position_ids$/.test(spec.name))
      return { ...spec, fill: { kind: "positions", from: length - (spec.dims.at(-1) ?? 0) } };
    return { ...spec, fill: { kind: "mask" } };
  });
  return randomInputs(specs, seed);
}

/** Whole numbers that neither masks nor lengths are made of. */
function wideRange(dtype: DType): { readonly low: number; readonly high: number } {
  const [least, greatest] = endsOf(dtype)!;
  return { low: Math.max(least, -300), high: Math.min(greatest, 300) + 1 };
}

/** Whether an input holds integers that index nothing. */
export const takesFreeIntegers = (graph: Graph, dims: ReadonlyMap<string, number>): boolean => {
  const limits = indexLimits(graph, dims);
  return graph.inputs.some((value) => isInteger(value.type.dtype) && !limits.has(value));
};

const passesThrough = new Set(["cast", "reshape", "transpose", "broadcast", "slice", "concat"]);

/** For each integer input that indexes something: the smallest size it indexes. */
function indexLimits(graph: Graph, dims: ReadonlyMap<string, number>): ReadonlyMap<Value, number> {
  const limits = new Map<Value, number>();
  const lower = (value: Value, limit: number) => limits.set(value, Math.min(limit, limits.get(value) ?? limit));
  for (const node of nodesOf(graph).toReversed()) {
    const size = node.op === "gather" || node.op === "scatter" ? gatheredSize(node, dims) : undefined;
    if (size !== undefined) lower(node.operands[1]!, size);
    const limit = node.results.map((value) => limits.get(value)).find((found) => found !== undefined);
    if (holdsGraphs(node)) lowerCaptures(node, dims, lower);
    if (limit !== undefined && passesThrough.has(node.op)) for (const operand of node.operands) lower(operand, limit);
  }
  return limits;
}

/** What the graphs of a node index with their inputs is indexed with its operands: with the last ones, as many as they take. */
function lowerCaptures(
  node: Node,
  dims: ReadonlyMap<string, number>,
  lower: (value: Value, limit: number) => void,
): void {
  for (const graph of subgraphsOf(node)) {
    const limits = indexLimits(graph, dims);
    graph.inputs.forEach((input, i) => {
      const limit = limits.get(input);
      if (limit !== undefined) lower(node.operands[i + node.operands.length - graph.inputs.length]!, limit);
    });
  }
}

/** Undefined where only a run tells it. */
function gatheredSize(node: Node, dims: ReadonlyMap<string, number>): number | undefined {
  const { shape } = node.operands[0]!.type;
  const dim = shape.at(attrsOf(node, node.op as "gather" | "scatter").axis)!;
  return symbolsOf(dim).every((name) => dims.has(name)) ? evaluate(dim, dims) : undefined;
}
