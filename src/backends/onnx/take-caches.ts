import { graphsOf, isPendingGraph, mapGraphs, type PendingNode, Ref } from "./lower/ref.ts";

/** Keys of before with the new ones after them, and values likewise. */
interface Cache {
  readonly keys: PendingNode;
  readonly values: PendingNode;
}

/** What stands where in an `Attention` of the standard operators. */
const input = { k: 1, v: 2, mask: 3, pastKeys: 4, pastValues: 5 } as const;
const output = { out: 0, presentKeys: 1, presentValues: 2 } as const;

/**
 * Keys and values of before are given to the attention that reads them with the new ones: the kernel puts them together
 * head by head, just before it reads them, and answers both. An attention behind an `If` takes them where the `If` is the
 * first to read them; branches without one put them together themselves.
 */
export function takeCaches(nodes: readonly PendingNode[]): readonly PendingNode[] {
  let left = nodes.map((node) => mapGraphs(node, (graph) => ({ ...graph, nodes: takeCaches(graph.nodes) })));
  for (const node of left)
    for (const call of attentionsOf(node)) {
      const cache = cacheOf(call, left);
      if (!cache || firstReader(left, cache) !== node) continue;
      const taken = call === node ? taking(node, cache) : branched(node, cache);
      const others = left.filter((each) => each !== cache.keys && each !== cache.values);
      left = others.map((each) => (each === node ? taken : each));
    }
  return left;
}

const resultsOf = ({ keys, values }: Cache): readonly [Ref, Ref] => [keys.outputs[0]!, values.outputs[0]!];

/** The attentions a node is, or does in its branches. */
function attentionsOf(node: PendingNode): readonly PendingNode[] {
  if (node.opType === "If" && node.domain === "")
    return graphsOf(node).flatMap(({ nodes }) => nodes.flatMap(attentionsOf));
  return canTake(node) ? [node] : [];
}

/** With a causal flag the kernel would count queries from the end of what is put together. */
const canTake = ({ opType, domain, inputs, outputs, attributes }: PendingNode): boolean =>
  opType === "Attention" &&
  domain === "" &&
  !attributes.has("is_causal") &&
  inputs.slice(input.pastKeys).every((ref) => ref === undefined) &&
  !outputs[output.presentKeys] &&
  !outputs[output.presentValues];

function cacheOf({ inputs }: PendingNode, nodes: readonly PendingNode[]): Cache | undefined {
  const [keys, values] = [inputs[input.k], inputs[input.v]].map((ref) =>
    nodes.find(({ opType, domain, outputs }) => opType === "Concat" && domain === "" && outputs[0] === ref),
  );
  return keys && values && keys !== values && isCache(keys) && isCache(values) && areAlike(keys, values)
    ? { keys, values }
    : undefined;
}

/** Two tensors of [batch, heads, length, width], put together along their lengths. */
function isCache({ inputs, attributes, outputs: [all] }: PendingNode): boolean {
  const axis = attributes.get("axis");
  return (
    inputs.length === 2 &&
    all!.type.shape.length === 4 &&
    all!.type.dtype === "f32" &&
    axis !== undefined &&
    !isPendingGraph(axis) &&
    axis.kind === "int" &&
    Number(axis.value) === 2
  );
}

/** As many keys as values, of before and new ones. */
const areAlike = (keys: PendingNode, values: PendingNode): boolean =>
  keys.inputs.every((ref, i) => ref!.type.shape[2] === values.inputs[i]!.type.shape[2]);

/** The first node that reads keys or values of a cache, within its graphs too. */
function firstReader(nodes: readonly PendingNode[], cache: Cache): PendingNode | undefined {
  const results = new Set<Ref | undefined>(resultsOf(cache));
  return nodes.find((node) => reads(node, results));
}

const reads = (node: PendingNode, refs: ReadonlySet<Ref | undefined>): boolean =>
  node.inputs.some((ref) => refs.has(ref)) ||
  graphsOf(node).some(
    ({ nodes, outputs }) => outputs.some((ref) => refs.has(ref)) || nodes.some((n) => reads(n, refs)),
  );

/** The attention with the cache as its own. */
function taking(node: PendingNode, { keys, values }: Cache): PendingNode {
  const { inputs, outputs } = node;
  const [pastKeys, newKeys] = keys.inputs;
  const [pastValues, newValues] = values.inputs;
  return {
    ...node,
    inputs: [inputs[0], newKeys, newValues, inputs[input.mask], pastKeys, pastValues],
    outputs: [outputs[output.out], keys.outputs[0], values.outputs[0], ...outputs.slice(output.presentValues + 1)],
  };
}

/** An `If` that answers the cache, too: what its branches read of it, they make. */
function branched(node: PendingNode, cache: Cache): PendingNode {
  const all = resultsOf(cache);
  const withCache = mapGraphs(node, (graph) => {
    const own = all.map(({ type }) => new Ref(type)) as [Ref, Ref];
    const renamed = new Map(all.map((ref, i) => [ref, own[i]!]));
    const inner = { ...graph, nodes: graph.nodes.map((each) => renaming(each, renamed)) };
    const made = [cache.keys, cache.values].map((each, i) => ({ ...each, outputs: [own[i]!] }));
    return { ...inner, nodes: takeCaches([...made, ...inner.nodes]), outputs: [...graph.outputs, ...own] };
  });
  return { ...withCache, outputs: [...node.outputs, ...all] };
}

function renaming(node: PendingNode, names: ReadonlyMap<Ref, Ref>): PendingNode {
  const renamed = <T extends Ref | undefined>(ref: T): T => ((ref && names.get(ref)) ?? ref) as T;
  const within = mapGraphs(node, (graph) => ({
    ...graph,
    nodes: graph.nodes.map((each) => renaming(each, names)),
    outputs: graph.outputs.map(renamed),
  }));
  return { ...within, inputs: node.inputs.map(renamed) };
}
