import { type Arena, attrsOf, graphOf } from "./ir/arena.ts";
import { isFloat } from "./ir/dtype.ts";
import { evaluateValues } from "./ir/evaluate.ts";
import { type Graph, type Node, nodesOf, topological, usesOf, type Value } from "./ir/graph.ts";
import { substituteDims, substituteSize } from "./ir/substitute.ts";
import { cutTensor, fromNumbers, type HostTensor, toFloat64 } from "./ir/tensor.ts";
import { sameType } from "./ir/types.ts";
import type { WeightReader } from "./passes/pass.ts";
import { substitute } from "./passes/rewrite/substitute.ts";
import type { Tensors } from "./reference.ts";

/** A graph with what it is run on. */
export interface Case {
  readonly graph: Graph;
  readonly arena: Arena;
  readonly feeds: Tensors;
  readonly weights: WeightReader;
}

/** Operations: nodes that compute something from others. */
export const operationsOf = ({ graph }: Pick<Case, "graph">): readonly Node[] =>
  nodesOf(graph).filter(({ operands }) => operands.length > 0);

/** The case without inputs that nothing uses. */
function trimmed(one: Case, graph: Graph): Case {
  const used = new Set(nodesOf(graph));
  const inputs = graph.inputs.filter(({ node }) => used.has(node));
  const feeds = new Map(inputs.map(({ node }) => nameOf(node)).map((name) => [name, one.feeds.get(name)!] as const));
  return { ...one, graph: { ...graph, inputs }, feeds };
}

const nameOf = (node: Node): string => attrsOf(node, "input").name;

/** With these values as the only outputs, named as they are called. */
export function withOutputValues(one: Case, values: readonly Value[]): Case {
  const { graph, arena } = one;
  const taken = new Set<string>(graph.inputs.map(({ node }) => nameOf(node)));
  const named = values.map((value) => {
    const known = graph.outputs.find((output) => output.value === value)?.name ?? arena.hintOf(value).name;
    return [unique(taken, known ?? value.node.op), value] as const;
  });
  return trimmed(one, graphOf(graph.name, graph.inputs, named));
}

function unique(taken: Set<string>, wanted: string): string {
  let name = wanted;
  for (let i = 1; taken.has(name); i++) name = `${wanted}_${i}`;
  taken.add(name);
  return name;
}

/** With what some nodes compute given as inputs, in the values the graph has for them. Undefined where nothing is left. */
export function withInputsFor(one: Case, nodes: readonly Node[]): Case | undefined {
  const { graph, arena, feeds, weights } = one;
  const replaced = new Set(nodes);
  const { users, outputs } = usesOf(graph);
  const frontier = nodes
    .flatMap(({ results }) => results)
    .filter((value) => users.get(value)?.some(({ node }) => !replaced.has(node)));
  if (frontier.length === 0 || frontier.some((value) => outputs.has(value))) return undefined;
  const inputs = new Map(
    graph.inputs.map((value) => {
      const { dims, ...tensor } = feeds.get(nameOf(value.node))!;
      return [value, { dims, data: toFloat64({ dims, ...tensor }) }] as const;
    }),
  );
  const computed = evaluateValues(frontier, { inputs, weights });
  const taken = new Set<string>([...feeds.keys(), ...graph.outputs.map(({ name }) => name)]);
  const given = frontier.map((value, i) => {
    const { dims, data } = computed[i]!;
    const name = unique(taken, arena.hintOf(value).name ?? value.node.op);
    const input = arena.build.input({ name, ...value.type });
    return { value, input, name, tensor: fromNumbers(value.type.dtype, dims, data) };
  });
  const next = substitute(graph, new Map(given.map(({ value, input }) => [value, input] as const)), arena);
  const widened = { ...one, feeds: new Map([...feeds, ...given.map(({ name, tensor }) => [name, tensor] as const)]) };
  return trimmed(widened, { ...next, inputs: [...graph.inputs, ...given.map(({ input }) => input)] });
}

/** With some nodes left out: the first operand of the same type takes the place of the result. */
export function withoutNodes(one: Case, nodes: readonly Node[]): Case | undefined {
  const replaced = new Map<Value, Value>();
  for (const { operands, results } of nodes) {
    const same = results.length === 1 && operands.find(({ type }) => sameType(type, results[0]!.type));
    if (same) replaced.set(results[0]!, same);
  }
  return replaced.size === 0 ? undefined : trimmed(one, substitute(one.graph, replaced, one.arena));
}

/** With named sizes as numbers. */
export function withFrozenSizes(one: Case, dims: ReadonlyMap<string, number>): Case {
  return { ...one, graph: substituteDims(one.arena, one.graph, dims) };
}

/** With one size in place of another everywhere: inputs, weights and constants keep their first elements. */
export function withSize(one: Case, from: number, to: number): Case {
  const cut = (tensor: HostTensor) =>
    cutTensor(
      tensor,
      tensor.dims.map((dim) => (dim === from ? to : dim)),
    );
  const { weights } = one;
  return {
    ...one,
    graph: substituteSize(one.arena, one.graph, from, to),
    feeds: new Map(Array.from(one.feeds, ([name, tensor]) => [name, cut(tensor)] as const)),
    weights: { has: weights.has, read: (name) => cut(weights.read(name)) },
  };
}

/** With all elements of one float input rounded to few digits, so that a person can read them. */
export function withPlainNumbers(one: Case, name: string): Case | undefined {
  const tensor = one.feeds.get(name)!;
  if (!isFloat(tensor.dtype)) return undefined;
  const plain = toFloat64(tensor).map((x) => Math.round(4 * x) / 4);
  return { ...one, feeds: new Map([...one.feeds, [name, fromNumbers(tensor.dtype, tensor.dims, plain)]]) };
}

/** Sizes above 1 that occur as dimensions anywhere, largest first. */
export function sizesOf({ graph }: Case): readonly number[] {
  const values = topological(graph.outputs.map(({ value }) => value)).flatMap(({ results }) => results);
  const sizes = values.flatMap(({ type }) => type.shape).filter((dim): dim is number => typeof dim === "number");
  return [...new Set(sizes)].filter((size) => size > 1).sort((x, y) => y - x);
}
