import type { Arena } from "../../../ir/arena.ts";
import type { Value } from "../../../ir/graph.ts";
import type { TensorType } from "../../../ir/types.ts";
import { graphText } from "../proto-text.ts";
import type { OnnxGraph, OnnxNode } from "../schema.ts";
import { graphsOf, type Versions } from "./functions.ts";
import type { Imported } from "./imported.ts";

/** A node that stays as the file has it, with what it reads of the graph. */
export interface Part {
  readonly node: OnnxNode;
  readonly operands: ReadonlyMap<string, Imported>;
  /** The parts whose values it reads. */
  readonly reads: readonly Part[];
}

/** A value whose type is not ours: what computes it is kept until something with a type comes out. */
export interface Untyped {
  readonly part: Part;
  readonly why: string;
  /** The same with a first axis which it lacks where that is 1: `Expand` to as many axes makes the same of both. */
  readonly full?: Imported;
}

export const isUntyped = (entry: Imported | Untyped): entry is Untyped => "part" in entry;

/** A part and all it needs, each once, behind what it reads. */
function withReads(last: Part): readonly Part[] {
  const seen = new Set<Part>();
  const order = new Set<Part>();
  const stack = [last];
  for (let part = stack.at(-1); part; part = stack.at(-1))
    if (seen.has(part)) order.add(stack.pop()!);
    else {
      seen.add(part);
      stack.push(...part.reads.filter((read) => !seen.has(read)).toReversed());
    }
  return [...order];
}

/** Two of these are not the same, however equal they look. */
const random = new Set([
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Multinomial",
  "Bernoulli",
  "Dropout",
]);

/** The `opaque` node that does what a part does, with all it needs, and answers the tensors of these names. */
export function opaqueNode(
  arena: Arena,
  part: Part,
  results: readonly { readonly name: string; readonly type: TensorType }[],
  versions: Versions,
): readonly Value[] {
  const parts = withReads(part);
  const operands = new Map(parts.flatMap((part) => [...part.operands]));
  const rename = parts.every(({ node }) => graphsOf(node).length === 0)
    ? shortNames([...operands.keys()], parts, results)
    : (name: string) => name;
  const info = (name: string) => ({ name: rename(name), type: undefined });
  const code: OnnxGraph = {
    name: part.node.opType,
    nodes: parts.map(({ node }) => bare(node, rename)),
    inputs: [...operands.keys()].map(info),
    outputs: results.map(({ name }) => info(name)),
    valueInfo: [],
    initializers: [],
    metadata: new Map([...versions].map(([domain, version]) => [domain, String(version)])),
  };
  return arena.node(
    "opaque",
    [...operands.values()].map((x) => x.value()),
    {
      code: graphText(code),
      dtypes: results.map(({ type }) => type.dtype).join(" "),
      ranks: results.map(({ type }) => type.shape.length),
      dims: results.flatMap(({ type }) => type.shape),
    },
  ).results;
}

/** Names by order of appearance, so that equal computations have equal text. */
function shortNames(
  operands: readonly string[],
  parts: readonly Part[],
  results: readonly { readonly name: string }[],
): (name: string) => string {
  const names = new Map<string, string>([["", ""]]);
  const give = (name: string, letter: string) => void (names.has(name) || names.set(name, `${letter}${names.size}`));
  for (const name of operands) give(name, "x");
  for (const { name } of results) give(name, "y");
  for (const { node } of parts) for (const name of node.outputs) give(name, "t");
  return (name) => names.get(name)!;
}

/** A node without what does not matter to it. */
function bare(node: OnnxNode, rename: (name: string) => string): OnnxNode {
  return {
    opType: node.opType,
    domain: node.domain,
    name: random.has(node.opType) ? node.name : "",
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
    attributes: node.attributes,
    ...(node.overload !== undefined && { overload: node.overload }),
  };
}
