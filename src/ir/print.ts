import { opDef } from "./arena.ts";
import type { AttrSpec, AttrValue } from "./attrs.ts";
import { attrKey } from "./attrs.ts";
import { type Dim, show } from "./dim.ts";
import type { DType } from "./dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";
import { tensorDigest } from "./hash.ts";
import { formulaText } from "./index-expr/text.ts";
import type { IndexExpr } from "./index-expr/types.ts";
import { elementTexts, showFloat } from "./literals.ts";
import { jsonText } from "./printable.ts";
import type { HostTensor } from "./tensor.ts";
import { type HintSource, nameValues, showName } from "./text-names.ts";
import { sameShape, showShape, showType, type TensorType } from "./types.ts";

export interface PrintOptions {
  /** Looks up what values are called; an `Arena` is one. */
  readonly arena?: HintSource;
  /** Adds where each value was written, as a comment. */
  readonly locations?: boolean;
}

/** Constants up to this many elements are written out, larger ones as a digest. */
export const inlineLimit = 64;

/** The text form of a graph, described in docs/ir.md. Ends with a newline. `parseGraph` reads it. */
export const printGraph = (graph: Graph, options: PrintOptions = {}): string =>
  `${graphLines(graph, { options, indent: "", names: new Map() }).join("\n")}\n`;

/** The constants that `printGraph` writes as digests, by digest: what `parseGraph` needs to read the text back. */
export function constantTable(graph: Graph): Map<string, HostTensor> {
  const table = new Map<string, HostTensor>();
  const pending = [graph];
  for (let level = pending.pop(); level; level = pending.pop())
    for (const node of nodesOf(level))
      for (const [name, value] of node.attrs) {
        const { kind } = opDef(node.op).attrs[name]!;
        if (kind === "graph") pending.push(value as Graph);
        if (kind === "tensor" && writtenOut(value as HostTensor) === undefined)
          table.set(tensorDigest(value as HostTensor), value as HostTensor);
      }
  return table;
}

interface Level {
  readonly names: ReadonlyMap<Value, string>;
  readonly options: PrintOptions;
  readonly indent: string;
}

function graphLines(graph: Graph, { options, indent, names: around }: Level): string[] {
  const order = nodesOf(graph);
  const inline = inlineConstants(graph, order);
  const level: Level = { names: nameValues(graph, options.arena, inline, around), options, indent: `${indent}  ` };
  const inputs = graph.inputs.map((value) => `${ref(value, level)}: ${showType(value.type)}`);
  const outputs = graph.outputs.map(({ name, value }) => outputText(name, value, level));
  const listed = new Set(graph.inputs.map(({ node }) => node));
  const lines = order.filter((node) => !listed.has(node) && !inline.has(node)).map((node) => nodeLine(node, level));
  return [
    `graph @${showName(graph.name)}(${inputs.join(", ")}) {`,
    ...lines,
    `${level.indent}return ${outputs.join(", ")}`.trimEnd(),
    `${indent}}`,
  ];
}

const ref = (value: Value, level: Level) => `%${showName(level.names.get(value)!)}`;

const outputText = (name: string, value: Value, level: Level) =>
  level.names.get(value) === name ? ref(value, level) : `${showName(name)} = ${ref(value, level)}`;

/** Constants every use of which is written in place. */
export function inlineConstants(graph: Graph, order: readonly Node[]): ReadonlySet<Node> {
  const nodes = new Set(order.filter(({ op }) => op === "constant"));
  for (const node of order)
    for (const value of node.operands) if (inlineText(value, node) === undefined) nodes.delete(value.node);
  for (const { value } of graph.outputs) nodes.delete(value.node);
  return nodes;
}

/**
 * The element type numbers among operands have: that of the first operand that is neither a rank-0 constant nor bool.
 * Undefined where there is none; then no number may stand inline.
 */
export const literalType = (types: Iterable<TensorType | undefined>): DType | undefined => {
  for (const type of types) if (type && type.dtype !== "bool") return type.dtype;
  return undefined;
};

/** The operand as a number or truth value in place; undefined where it needs a name. */
function inlineText(value: Value, user: Node): string | undefined {
  if (value.node.op !== "constant" || value.type.shape.length > 0) return undefined;
  const { dtype } = value.type;
  if (dtype !== "bool" && dtype !== literalType(user.operands.map(typeUnlessScalar))) return undefined;
  return writtenOut(value.node.attrs.get("value") as HostTensor)?.[0];
}

/** Nothing for rank-0 constants, which may be written inline. */
export const typeUnlessScalar = ({ node, type }: Value) =>
  node.op === "constant" && type.shape.length === 0 ? undefined : type;

function nodeLine(node: Node, level: Level): string {
  const names = node.results.map((value) => ref(value, level)).join(", ");
  const types = node.results.map(({ type }) => showType(type)).join(", ");
  const operands = node.operands.map((value) => inlineText(value, node) ?? ref(value, level));
  const attrs = attrTexts(node, level);
  const line = `${level.indent}${names}: ${types} = ${node.op}(${operands.join(", ")})${attrs}`;
  const location = level.options.locations && level.options.arena?.hintOf(node.results[0]!).location;
  return location ? `${line} // ${location.file}:${location.line}:${location.column}` : line;
}

function attrTexts(node: Node, level: Level): string {
  const parts: string[] = [];
  for (const [name, spec] of Object.entries(opDef(node.op).attrs)) {
    const value = node.attrs.get(name)!;
    if (isDefault(spec, value) || isImplied(name, spec, value, node.results[0]?.type)) continue;
    parts.push(`${name} = ${attrText(spec, value, level)}`);
  }
  return parts.length > 0 ? ` {${parts.join(", ")}}` : "";
}

const isDefault = (spec: AttrSpec, value: AttrValue) =>
  spec.default !== undefined && attrKey(spec.kind, spec.default) === attrKey(spec.kind, value);

/** Attributes the type of the first result already tells: its shape, its element type. */
export function impliedAttr(name: string, spec: AttrSpec, type: TensorType): AttrValue | undefined {
  if (name === "shape" && spec.kind === "dims") return type.shape;
  return (name === "dtype" || name === "to") && spec.kind === "dtype" ? type.dtype : undefined;
}

function isImplied(name: string, spec: AttrSpec, value: AttrValue, type: TensorType | undefined): boolean {
  const implied = type && impliedAttr(name, spec, type);
  if (implied === undefined) return false;
  return spec.kind === "dims" ? sameShape(implied as readonly Dim[], value as readonly Dim[]) : implied === value;
}

function attrText({ kind }: AttrSpec, value: AttrValue, level: Level): string {
  switch (kind) {
    case "string":
      return jsonText(value);
    case "float":
      return showFloat(value as number);
    case "dim":
      return show(value as Dim);
    case "dims":
      return showShape(value as readonly Dim[]);
    case "ints":
      return `[${(value as readonly number[]).join(", ")}]`;
    case "tensor":
      return tensorText(value as HostTensor);
    case "formula":
      return jsonText(formulaText(value as IndexExpr));
    case "graph":
      return graphLines(value as Graph, level).join("\n");
    default:
      return String(value);
  }
}

const writtenOut = (tensor: HostTensor) => (tensor.data.length <= inlineLimit ? elementTexts(tensor) : undefined);

function tensorText(tensor: HostTensor): string {
  const texts = writtenOut(tensor);
  if (!texts) return `#${tensorDigest(tensor)}`;
  return tensor.dims.length === 0 ? texts[0]! : `[${texts.join(", ")}]`;
}
