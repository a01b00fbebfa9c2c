import type { Arena } from "../../../ir/arena.ts";
import { reachesInput } from "../../../ir/constness.ts";
import { fail, QkvError } from "../../../ir/diagnostics.ts";
import { isStatic } from "../../../ir/dim.ts";
import { isFloat } from "../../../ir/dtype.ts";
import { Value } from "../../../ir/graph.ts";
import { elementCount } from "../../../ir/tensor.ts";
import type { TensorType } from "../../../ir/types.ts";
import {
  isExternal,
  isTensorInfo,
  type OnnxGraph,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from "../schema.ts";
import { type FileTensors, hostOf } from "./file-tensors.ts";
import { freeNames, graphsOf, type Versions } from "./functions.ts";
import { clampInteger, contentsLimit, type Imported, ofContents, ofValue } from "./imported.ts";
import { type Branch, type Converted, NodeContext } from "./node.ts";
import { isUntyped, opaqueNode, type Part, type Untyped } from "./opaque.ts";
import { opaqueTypes } from "./opaque-types.ts";
import { conversionOf } from "./operators.ts";
import { withFirstAxis } from "./ops/movement.ts";
import { sorted, withSortedGraphs } from "./order.ts";
import type { Symbols } from "./symbols.ts";
import { Unmodelled } from "./unmodelled.ts";

/** What one import works with. */
export interface Importer {
  readonly arena: Arena;
  readonly symbols: Symbols;
  readonly weights: FileTensors;
  /** Versions of the operator sets a node is of. */
  readonly versionsOf: (node: OnnxNode) => Versions;
  /** Notes an operator that stays as it is. */
  readonly left: (operator: string, reason: string) => void;
  readonly warn: (text: string) => void;
}

type Entry = Imported | Untyped;

/** Names of a graph of the file. A branch sees those of the graphs around it; what it reads of them becomes an input of its own. */
export class Scope {
  readonly importer: Importer;
  readonly #outer: Scope | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #captured = new Map<string, { readonly outer: Value; readonly inner: Value }>();
  readonly declared: ReadonlyMap<string, OnnxValueInfo>;

  constructor(importer: Importer, outer: Scope | undefined, graph: OnnxGraph) {
    this.importer = importer;
    this.#outer = outer;
    this.declared = new Map([...graph.valueInfo, ...graph.outputs].map((info) => [info.name, info]));
  }

  define(name: string, entry: Entry): void {
    if (this.#entries.has(name)) fail("QKV402", `"${name}" is the name of two values`);
    this.#entries.set(name, entry);
  }

  /** Whether the name is known by now, here or around. */
  knows(name: string): boolean {
    return this.#entries.has(name) || (this.#outer?.knows(name) ?? false);
  }

  resolve(name: string, user: string): Entry {
    const own = this.#entries.get(name);
    if (own) return own;
    if (!this.#outer) return fail("QKV402", `${user} reads "${name}", which nothing computes`);
    const entry = this.#capture(name, this.#outer.resolve(name, user));
    this.#entries.set(name, entry);
    return entry;
  }

  /** A value of the graph around: what only constants and dimensions make is computed here again, the rest comes in. */
  #capture(name: string, entry: Entry): Entry {
    if (isUntyped(entry)) return { part: entry.part, why: entry.why };
    const { type, contents } = entry;
    const value = (): Value => {
      const outer = entry.value();
      if (!reachesInput(outer)) return outer;
      let known = this.#captured.get(name);
      if (!known) {
        const inner = this.importer.arena.build.input({ name, ...type });
        this.#captured.set(name, (known = { outer, inner }));
      }
      return known.inner;
    };
    return { type, ...(contents && { contents }), value };
  }

  /** What was read of the graphs around so far. */
  get captured(): readonly { readonly inner: Value; readonly outer: Value }[] {
    return [...this.#captured.values()];
  }
}

/** Takes in a graph's tensors and nodes, in an order in which everything is computed before it is read. */
export function convertNodes(scope: Scope, graph: OnnxGraph): void {
  for (const tensor of graph.initializers) scope.define(tensor.name, tensorEntry(scope, tensor, true));
  for (const node of sorted(graph, (name) => scope.knows(name))) convertNode(scope, node);
}

/** A tensor of the file: trained ones become parameters, small ones and whole numbers constants. */
function tensorEntry(scope: Scope, tensor: OnnxTensor, stored: boolean): Entry {
  const { arena, weights } = scope.importer;
  const { dtype, dims } = tensor;
  if (typeof dtype === "number") {
    const attributes = new Map([["value", { kind: "tensor", value: tensor }]] as const);
    const node: OnnxNode = { opType: "Constant", domain: "", name: "", inputs: [], outputs: [tensor.name], attributes };
    return {
      part: { node, operands: new Map(), reads: [] },
      why: `"${tensor.name}" has an element type that is not ours`,
    };
  }
  const count = elementCount(dims);
  const trained =
    stored &&
    (isFloat(dtype) ? count > 1 && !isTriangle(tensor) : (dtype === "i8" || dtype === "u8") && count > contentsLimit);
  if (trained) {
    const name = weights.add(tensor);
    return ofValue(arena.build.param({ name, dtype, shape: dims }));
  }
  const host = hostOf(tensor);
  const value = arena.build.constant({ value: host });
  const listed = !isFloat(dtype) && dims.length <= 1 && count <= contentsLimit;
  return listed
    ? ofValue(
        value,
        Array.from(host.data as ArrayLike<number | bigint>, (element) => clampInteger(Number(element))),
      )
    : ofValue(value);
}

/** Added to scores, this and less hides a key. */
const hiding = -1e4;

/**
 * Whether a stored tensor is ones up to the diagonal and zeros beyond, or zeros and a number that hides: a causal mask is no
 * weight, whoever stored it.
 */
function isTriangle(tensor: OnnxTensor): boolean {
  const { dtype, dims, bytes } = tensor;
  const [rows, columns] = dims.slice(-2);
  const isSquare = rows !== undefined && rows > 2 && rows === columns && dims.slice(0, -2).every((dim) => dim === 1);
  if (dtype !== "f32" || !isSquare || isExternal(bytes)) return false;
  const data = hostOf(tensor).data as Float32Array;
  const [seen, hidden] = [data[0]!, data[1]!];
  const isMask = (seen === 1 && hidden === 0) || (seen === 0 && hidden <= hiding);
  return isMask && data.every((x, at) => x === (at % rows <= Math.floor(at / rows) ? seen : hidden));
}

function convertNode(scope: Scope, node: OnnxNode): void {
  const { importer } = scope;
  if (node.opType === "Constant" && node.domain === "" && node.inputs.length === 0) {
    defineConstant(scope, node);
    return;
  }
  const user = `${node.opType} "${node.name || node.outputs[0]}"`;
  const entries = withLackingAxes(
    node,
    node.inputs.map((name) => (name === "" ? undefined : scope.resolve(name, user))),
  );
  const version = importer.versionsOf(node).get(node.domain);
  if (version === undefined) fail("QKV402", `${user} is of "${node.domain}", of which the model imports no version`);
  const untyped = entries.find((entry) => entry && isUntyped(entry)) as Untyped | undefined;
  if (untyped) {
    leave(scope, node, entries, undefined, untyped.why);
    return;
  }
  const cx = new NodeContext({
    arena: importer.arena,
    node,
    opset: version,
    inputs: entries as readonly (Imported | undefined)[],
    symbols: importer.symbols,
    inline: (graph) => resultsIn(scope, graph),
    branch: (graph) => branchOf(scope, graph),
    host: hostOf,
    weights: importer.weights,
  });
  const reason = tryConvert(scope, cx);
  if (reason !== undefined) leave(scope, node, entries, cx, reason);
}

/** Operands of a node; `Expand` gives its first one the axis it may lack, being told sizes of as many axes. */
function withLackingAxes(node: OnnxNode, entries: readonly (Entry | undefined)[]): readonly (Entry | undefined)[] {
  const [x, sizes] = entries;
  if (node.opType !== "Expand" || node.domain !== "" || !x || !sizes || !isUntyped(x) || isUntyped(sizes))
    return entries;
  const isWide = x.full && sizes.contents && sizes.contents.length >= x.full.type.shape.length;
  return isWide ? [x.full, sizes] : entries;
}

/** Undefined where the node is said in our ops, else why not. */
function tryConvert(scope: Scope, cx: NodeContext): string | undefined {
  const { node } = cx;
  try {
    const converted = conversionOf(node.domain, node.opType)?.(cx);
    if (converted === undefined) return "the IR has no op for it";
    defineResults(scope, node, converted);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Why a node cannot be said, or its type told. Throws what is no such reason. */
function reasonOf(error: unknown): string {
  if (error instanceof Unmodelled || (error instanceof QkvError && error.code === "QKV210")) return error.message;
  // Conversions read the operands and axes every such operator has; this is how JavaScript says that one is not there.
  if (error instanceof TypeError || error instanceof RangeError) return "it is not as such an operator is";
  throw error;
}

function defineResults(scope: Scope, node: OnnxNode, converted: Converted): void {
  const { arena } = scope.importer;
  const list = Array.isArray(converted)
    ? (converted as readonly (Imported | Value | undefined)[])
    : [converted as Imported | Value];
  node.outputs.forEach((name, i) => {
    if (name === "") return;
    const result = list[i];
    if (!result) throw new Unmodelled(`its result ${i + 1} is used`);
    const entry = result instanceof Value ? ofValue(result) : result;
    if (result instanceof Value) arena.hint(result, { name });
    scope.define(name, entry);
  });
}

/** Converts a graph of a node within a scope and answers its results. */
function resultsIn(scope: Scope, graph: OnnxGraph): readonly Imported[] {
  convertNodes(scope, graph);
  return graph.outputs.map(({ name }) => {
    const entry = scope.resolve(name, `the result "${name}" of a branch`);
    if (isUntyped(entry)) throw new Unmodelled(entry.why);
    return entry;
  });
}

/** Results are asked for at once: what they read of the graph around is captured by then. */
function branchOf(scope: Scope, graph: OnnxGraph): Branch {
  const inner = new Scope(scope.importer, scope, graph);
  const results = resultsIn(inner, graph);
  for (const result of results) result.value();
  return { results, captured: inner.captured };
}

function defineConstant(scope: Scope, node: OnnxNode): void {
  const name = node.outputs[0]!;
  const { arena } = scope.importer;
  const [kind, attribute] = [...node.attributes][0] ?? [];
  const numbers = (values: readonly (number | bigint)[], rank: 0 | 1) =>
    ofContents(
      arena,
      "i64",
      values.map((value) => clampInteger(Number(value))),
      rank,
    );
  if (attribute?.kind === "tensor") scope.define(name, tensorEntry(scope, { ...attribute.value, name }, false));
  else if (attribute?.kind === "int") scope.define(name, numbers([attribute.value], 0));
  else if (attribute?.kind === "ints" && attribute.value.length <= contentsLimit)
    scope.define(name, numbers(attribute.value, 1));
  else if (attribute?.kind === "float") scope.define(name, ofValue(arena.build.scalar(attribute.value, "f32")));
  else leave(scope, node, [], undefined, `it gives a constant as ${kind}`);
}

/** Keeps a node as it is: in an `opaque` node of its own, or with what reads it until there is a type. */
function leave(
  scope: Scope,
  node: OnnxNode,
  entries: readonly (Entry | undefined)[],
  cx: NodeContext | undefined,
  why: string,
): void {
  const { importer } = scope;
  const user = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
  const full = cx && node.opType === "Squeeze" ? withFirstAxis(cx) : undefined;
  if (!full) importer.left(user, why);
  const named = node.inputs.flatMap((name, i) => (entries[i] ? [[name, entries[i]] as const] : []));
  const free = graphsOf(node).flatMap((graph) => [...freeNames(graph)]);
  const all = [...named, ...free.map((name) => [name, scope.resolve(name, user)] as const)];
  const operands = new Map(all.flatMap(([name, entry]) => (isUntyped(entry) ? [] : [[name, entry] as const])));
  const reads = all.flatMap(([, entry]) => (isUntyped(entry) ? [entry.part] : []));
  const part: Part = { node: withSortedGraphs(node, (name) => scope.knows(name)), operands, reads };
  const types = node.outputs.map((name, i) =>
    name === "" ? undefined : settledBy(scope, ruleType(cx, i), declaredType(scope, name)),
  );
  const typed = node.outputs.flatMap((name, i) => (name !== "" && types[i] ? [{ name, type: types[i] }] : []));
  const values = typed.length === 0 ? [] : opaqueNode(importer.arena, part, typed, importer.versionsOf(node));
  typed.forEach(({ name }, i) => {
    importer.arena.hint(values[i]!, { name });
    scope.define(name, ofValue(values[i]!));
  });
  node.outputs.forEach((name, i) => {
    const reason = entries.some((entry) => entry && isUntyped(entry))
      ? why
      : `${user} is left as it is (${why}), and the file does not say the type of "${name}"`;
    if (name !== "" && !types[i]) scope.define(name, { part, why: reason, ...(full && { full: ofValue(full) }) });
  });
}

function ruleType(cx: NodeContext | undefined, result: number) {
  if (!cx) return undefined;
  try {
    return opaqueTypes(cx)[result];
  } catch (error) {
    reasonOf(error);
    return undefined;
  }
}

/** The type by a rule, sizes that only a run tells being the numbers the file says; what the file says where there is no rule. */
function settledBy(
  { importer }: Scope,
  rule: TensorType | undefined,
  declared: TensorType | undefined,
): TensorType | undefined {
  if (!rule || rule.shape.length !== declared?.shape.length) return rule ?? declared;
  const shape = rule.shape.map((dim, axis) => {
    const said = declared.shape[axis]!;
    return isStatic(said) && importer.symbols.isUnknown(dim) ? said : dim;
  });
  return { dtype: rule.dtype, shape };
}

/** What the file says a value is: its element type and number of axes, and sizes where they are numbers. */
function declaredType(scope: Scope, name: string) {
  const info = scope.declared.get(name);
  if (!info || !isTensorInfo(info) || typeof info.dtype === "number" || !info.shape) return undefined;
  const shape = info.shape.map((dim, axis) =>
    typeof dim === "number" ? dim : scope.importer.symbols.unknown(`${name}.${axis}`),
  );
  return { dtype: info.dtype, shape };
}
