import { type Arena, inferTypes, opDef } from "./arena.ts";
import { bindSymbols, bindsDims, inBindingOrder, symbolsBound, symbolsNeeded } from "./binding.ts";
import { subgraphsOf } from "./cost.ts";
import { type DiagnosticCode, type DiagnosticDetails, fail, QkvError } from "./diagnostics.ts";
import { isStatic } from "./dim.ts";
import { byteSize } from "./dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "./graph.ts";
import { sameType, showType, type TensorType } from "./types.ts";

export interface VerifyOptions {
  /** Where names and places of values are looked up for messages. */
  readonly arena?: Pick<Arena, "hintOf">;
  /** Symbols whose sizes come from elsewhere than the inputs. */
  readonly given?: Iterable<string>;
  /** Bytes one tensor of static shape may take; 2^53 where not given. */
  readonly maxBytes?: number;
  /**
   * Nodes found right in another graph of the same inputs, which are not looked at again; those found right now are
   * added. Nodes never change.
   */
  readonly verified?: WeakSet<Node>;
}

const nameBytesLimit = 1024;
/** As deep as protobuf readers follow graphs in graphs. */
const depthLimit = 30;

/**
 * Checks what holds of every graph, whoever made it: types follow from the ops, operands come first, inputs are input
 * nodes, names are unique and can be written to a file, subgraphs are closed, every symbol is bound, and
 * sizes are natural numbers a file can hold. Throws QKV230 to QKV239.
 */
export function verifyGraph(graph: Graph, options: VerifyOptions = {}): void {
  const levels = graphsByDepth(graph);
  const checked = new Set<Node>();
  for (const inner of new Set(levels.flat())) verifyLevel(inner, inner === graph, checked, options);
  verifySymbols(graph, options);
  for (const node of checked) options.verified?.add(node);
}

/** The graph, then the graphs its nodes hold, and so on; a graph held in several places stands once in a level. */
function graphsByDepth(graph: Graph): readonly (readonly Graph[])[] {
  const levels: Graph[][] = [];
  for (let level = [graph]; level.length > 0; level = [...new Set(level.flatMap(innerGraphs))]) {
    if (levels.length > depthLimit) fail("QKV239", `@${graph.name} holds more than ${depthLimit} graphs in graphs`);
    levels.push(level);
  }
  return levels;
}

const innerGraphs = (graph: Graph) => nodesOf(graph).flatMap(subgraphsOf);

function verifyLevel(graph: Graph, outermost: boolean, checked: Set<Node>, options: VerifyOptions): void {
  const order = nodesOf(graph);
  verifyInputs(graph, order, options, outermost);
  verifyNames(graph, order, options);
  for (const node of [...graph.inputs.map((value) => value.node), ...order]) {
    if (checked.has(node)) continue;
    checked.add(node);
    if (options.verified?.has(node)) continue;
    verifyNode(node, options);
  }
}

function verifyNode(node: Node, options: VerifyOptions): void {
  const bad = (code: DiagnosticCode, message: string) => refuse(code, node, message, options);
  for (const { node: producer, index, type } of node.operands) {
    if (producer.id >= node.id) bad("QKV231", `${producer.op} is an operand but was made later`);
    const result = producer.results[index];
    if (!result || !sameType(result.type, type)) bad("QKV231", `operand ${index} is no result of ${producer.op}`);
  }
  const types = inferAgain(node, options);
  const inferred =
    types.length === node.results.length && types.every((type, i) => sameType(type, node.results[i]!.type));
  if (!inferred)
    bad(
      "QKV230",
      `has ${node.results.map(({ type }) => showType(type)).join(", ")}, its op gives ${types.map(showType).join(", ")}`,
    );
  for (const { type } of node.results) verifySize(type, bad, options.maxBytes ?? 2 ** 53);
}

function inferAgain(node: Node, options: VerifyOptions): readonly TensorType[] {
  try {
    return inferTypes(opDef(node.op), node.operands, node.attrs);
  } catch (error) {
    if (!(error instanceof QkvError)) throw error;
    return refuse("QKV230", node, error.message, options, error.details.notes);
  }
}

function verifySize(type: TensorType, bad: (code: DiagnosticCode, message: string) => void, maxBytes: number): void {
  const sizes = type.shape.filter(isStatic);
  if (sizes.some((size) => size < 0 || !Number.isInteger(size))) bad("QKV237", `a result is ${showType(type)}`);
  if (sizes.length < type.shape.length) return;
  const bytes = sizes.reduce((product, size) => product * BigInt(size), BigInt(byteSize(type.dtype)));
  if (bytes > BigInt(maxBytes)) bad("QKV238", `a result is ${showType(type)}, ${bytes} bytes`);
}

function verifyInputs(graph: Graph, order: readonly Node[], options: VerifyOptions, outermost: boolean): void {
  for (const { node } of graph.inputs)
    if (node.op !== "input") refuse("QKV232", node, `is listed among the inputs of @${graph.name}`, options);
  const declared = new Set(graph.inputs.map(({ node }) => node));
  for (const node of order)
    if (node.op === "input" && !declared.has(node))
      refuse(
        outermost ? "QKV232" : "QKV235",
        node,
        `"${nameOf(node)}" is not among the inputs of @${graph.name}`,
        options,
      );
}

const nameOf = (node: Node) => String(node.attrs.get("name"));

function verifyNames(graph: Graph, order: readonly Node[], { verified }: VerifyOptions): void {
  verifyName(graph.name, "graph");
  const inputs = new Map<string, Value>();
  for (const value of graph.inputs) claim(inputs, nameOf(value.node), value, `input of @${graph.name}`);
  const outputs = new Map<string, Value>();
  for (const { name, value } of graph.outputs) {
    claim(outputs, name, value, `output of @${graph.name}`);
    const input = inputs.get(name);
    if (input && input !== value) fail("QKV233", `"${name}" names an input and another value that is an output`);
  }
  const params = new Map<string, Node>();
  for (const node of order) {
    if (node.op !== "param") continue;
    const name = nameOf(node);
    const other = params.get(name);
    if (!other && !verified?.has(node)) verifyName(name, "parameter");
    if (other && !sameType(other.results[0]!.type, node.results[0]!.type))
      fail(
        "QKV233",
        `the parameter "${name}" is ${showType(other.results[0]!.type)} and ${showType(node.results[0]!.type)}`,
      );
    params.set(name, node);
  }
}

function claim(names: Map<string, Value>, name: string, value: Value, role: string): void {
  verifyName(name, role);
  if (names.has(name)) fail("QKV233", `"${name}" is the name of more than one ${role}`);
  names.set(name, value);
}

/** Refuses names that protobuf, JSON or a C string cannot carry: empty, too long, with a NUL, or no valid Unicode. */
function verifyName(name: string, role: string): void {
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
  const bad = (why: string) =>
    fail("QKV234", `the name ${shown} of ${/^[aeiou]/.test(role) ? "an" : "a"} ${role} ${why}`);
  if (name === "") bad("is empty");
  if (name.includes("\0")) bad("holds a NUL");
  if (/\p{Surrogate}/u.test(name)) bad("is no valid Unicode: it holds half a surrogate pair");
  if (new TextEncoder().encode(name).length > nameBytesLimit) bad(`is longer than ${nameBytesLimit} bytes`);
}

/** Every symbol is bound: by the inputs, by a node that `binds` in the same graph, or in a graph around it. */
function verifySymbols(graph: Graph, options: VerifyOptions): void {
  const bound = new Set(options.given ?? []);
  bindSymbols(
    graph.inputs.flatMap(({ type }) => type.shape),
    bound,
  );
  const seen = new Map<Graph, Set<string>>();
  const open = [{ inner: graph, known: bound as ReadonlySet<string> }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { inner, known } = next;
    const before = seen.get(inner);
    if (before && [...known].every((name) => before.has(name)) && known.size === before.size) continue;
    seen.set(inner, new Set(known));
    const nodes = new Set([...inner.inputs.map((value) => value.node), ...nodesOf(inner)]);
    const { order, stuck, bound: within } = inBindingOrder([...nodes], known);
    for (const node of stuck) refuseUnbound(graph, node, symbolsNeeded(node), within, options);
    for (const node of order) {
      if (bindsDims(node)) refuseUnbound(graph, node, symbolsBound(node), within, options);
      for (const held of subgraphsOf(node)) open.push({ inner: held, known: within });
    }
  }
}

function refuseUnbound(
  graph: Graph,
  node: Node,
  names: Iterable<string>,
  bound: ReadonlySet<string>,
  options: VerifyOptions,
): void {
  const name = [...names].find((symbol) => !bound.has(symbol));
  if (name === undefined) return;
  const inputs = graph.inputs.map((input) => `${nameOf(input.node)}: ${showType(input.type)}`).join(", ");
  refuse("QKV236", node, `uses the dimension "${name}", which no input determines`, options, [
    `inputs: ${inputs || "none"}`,
  ]);
}

function refuse(
  code: DiagnosticCode,
  node: Node,
  message: string,
  options: VerifyOptions,
  notes: readonly string[] = [],
): never {
  const { name, location } = node.results[0] ? (options.arena?.hintOf(node.results[0]) ?? {}) : {};
  const subject = name === undefined ? `${node.op}` : `%${name} (${node.op})`;
  const details: DiagnosticDetails = { notes, ...(location ? { location } : {}) };
  return fail(code, `${subject}: ${message}`, details);
}
