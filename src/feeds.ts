import { type InputSpec, randomInputs } from "./backends/ort/inputs.ts";
import { attrsOf } from "./ir/arena.ts";
import { bindDims } from "./ir/bind-dims.ts";
import { fail } from "./ir/diagnostics.ts";
import { evaluate, symbolsOf } from "./ir/dim.ts";
import { isFloat, isInteger } from "./ir/dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "./ir/graph.ts";
import type { HostTensor } from "./ir/tensor.ts";

/** Sizes taken for symbols that nobody gave: one sequence of 128. */
export const defaultSize = (symbol: string): number => (/^(b|batch\w*|n_batch)$/i.test(symbol) ? 1 : 128);

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

/** A size for every symbol of the graph's inputs: those given, defaults for the others. Throws QKV504. */
export function completeDims(graph: Graph, given: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  checkDims(graph, given);
  return new Map(symbolsIn(graph).map((name) => [name, given.get(name) ?? defaultSize(name)]));
}

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
 * Random inputs a graph can take: floats are normal, indices stay within what they index, other integers are padding
 * masks of ones and zeros. `varied` floats and integers come in rows of special structure instead: zeros, equal
 * elements, large and tiny ones, masks that hide everything. Depends on nothing but the arguments.
 */
export function randomFeeds(
  graph: Graph,
  dims: ReadonlyMap<string, number>,
  seed: number,
  style: "plain" | "varied" = "plain",
): Map<string, HostTensor> {
  const limits = indexLimits(graph, dims);
  const specs = graph.inputs.map((value): InputSpec => {
    const { name, dtype, shape } = attrsOf(value.node, "input");
    const sizes = shape.map((dim) => evaluate(dim, dims));
    const high = limits.get(value);
    if (style === "varied") {
      const range = isFloat(dtype) ? {} : { low: 0, high: high ?? 2 };
      return { name, dtype, dims: sizes, fill: { kind: "rows", ...range } };
    }
    if (!isInteger(dtype)) return { name, dtype, dims: sizes };
    return {
      name,
      dtype,
      dims: sizes,
      fill: high === undefined ? { kind: "mask" } : { kind: "integers", low: 0, high },
    };
  });
  return randomInputs(specs, seed);
}

const passesThrough = new Set(["cast", "reshape", "transpose", "broadcast", "slice", "concat"]);

/** For each integer input that indexes something: the smallest size it indexes. */
function indexLimits(graph: Graph, dims: ReadonlyMap<string, number>): ReadonlyMap<Value, number> {
  const limits = new Map<Value, number>();
  const lower = (value: Value, limit: number) => limits.set(value, Math.min(limit, limits.get(value) ?? limit));
  for (const node of nodesOf(graph).toReversed()) {
    if (node.op === "gather" || node.op === "scatter") lower(node.operands[1]!, gatheredSize(node, dims));
    const limit = node.results.map((value) => limits.get(value)).find((found) => found !== undefined);
    if (limit !== undefined && passesThrough.has(node.op)) for (const operand of node.operands) lower(operand, limit);
  }
  return limits;
}

function gatheredSize(node: Node, dims: ReadonlyMap<string, number>): number {
  const { shape } = node.operands[0]!.type;
  const { axis } = attrsOf(node, node.op as "gather" | "scatter");
  return evaluate(shape.at(axis)!, dims);
}
