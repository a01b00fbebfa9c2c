import { attrRecord, opDef } from "./arena.ts";
import { bindDims, type DimBindings } from "./bind-dims.ts";
import { bindsDims, inBindingOrder } from "./binding.ts";
import { decompositionOf } from "./decomposition.ts";
import { fail } from "./diagnostics.ts";
import { evaluate as evaluateDim } from "./dim.ts";
import { type DType, endsOf } from "./dtype.ts";
import { type Graph, type Node, topological, type Value } from "./graph.ts";
import type { RefTensor } from "./op-def.ts";
import { elementCount, type HostTensor, toFloat64 } from "./tensor.ts";
import { showType, type TensorType } from "./types.ts";

/** Where the values of parameters come from. */
export interface WeightReader {
  read(name: string): HostTensor;
}

export interface EvaluateOptions {
  readonly weights?: WeightReader;
  /** Sizes of symbols, where inputs do not bind them; they must agree with the inputs. */
  readonly dims?: ReadonlyMap<string, number>;
  /** Sees every value once it is known, those inside of decompositions and held graphs too; its answer stands for it. */
  readonly watch?: (value: Value, tensor: RefTensor) => RefTensor;
}

/** Elements the reference will hold in one tensor. */
const elementLimit = 2 ** 31;

/**
 * Runs `graph` in float64, op by op: the meaning every other way of running it is tested against. `feeds` are keyed
 * by the names of the inputs and bind the symbols of their shapes; other symbols are bound as nodes that bind run.
 * Answers outputs by name.
 *
 * Throws QKV240 for an input without a feed, QKV241 for a feed without an input, QKV242 for one of another type,
 * QKV243 for a parameter without weights, QKV244 where a tensor grows too large, QKV245 for a negative dimension.
 */
export function evaluateGraph(
  graph: Graph,
  feeds: ReadonlyMap<string, HostTensor>,
  options: EvaluateOptions = {},
): Map<string, RefTensor> {
  const names = new Set(graph.inputs.map(inputName));
  for (const name of feeds.keys())
    if (!names.has(name))
      fail("QKV241", `there is no input "${name}"`, { help: `inputs are ${[...names].join(", ") || "none"}` });
  const inputs = new Map<Value, RefTensor>();
  for (const input of graph.inputs) {
    const name = inputName(input);
    const feed = feeds.get(name) ?? fail("QKV240", `the input "${name}" is not given: ${showType(input.type)}`);
    if (feed.dtype !== input.type.dtype)
      fail("QKV242", `the input "${name}" is ${showType(input.type)}, ${feed.dtype} was given`);
    inputs.set(input, { dims: feed.dims, data: toFloat64(feed) });
  }
  const values = evaluateValues(
    graph.outputs.map(({ value }) => value),
    { ...options, inputs },
  );
  return new Map(graph.outputs.map(({ name }, i) => [name, values[i]!]));
}

const inputName = (value: Value) => String(value.node.attrs.get("name"));

/**
 * Values of one arena in float64. `inputs` gives the values of `input` nodes, or of any other value that shall be
 * taken as given. Throws as `evaluateGraph` does.
 */
export function evaluateValues(
  values: readonly Value[],
  options: EvaluateOptions & { readonly inputs?: ReadonlyMap<Value, RefTensor> } = {},
): readonly RefTensor[] {
  const given = options.inputs ?? new Map<Value, RefTensor>();
  const dims = bindDims(
    [...given]
      .filter(([value]) => value.node.op === "input")
      .map(([value, { dims }]) => ({ name: inputName(value), shape: value.type.shape, dims })),
    options.dims,
  );
  const { weights, watch } = options;
  const seen = watch ? new Map(Array.from(given, ([value, tensor]) => [value, watch(value, tensor)])) : given;
  return run(values, { given: seen, dims, weights, watch });
}

interface Run {
  readonly given: ReadonlyMap<Value, RefTensor>;
  readonly dims: DimBindings;
  readonly weights: WeightReader | undefined;
  readonly watch: EvaluateOptions["watch"];
}

function run(roots: readonly Value[], cx: Run): readonly RefTensor[] {
  const { order, stuck } = inBindingOrder(nodesToRun(roots, cx.given), cx.dims.keys());
  const nodes = [...order, ...stuck];
  let { dims } = cx;
  const remaining = new Map<Value, number>();
  const count = (value: Value) => remaining.set(value, (remaining.get(value) ?? 0) + 1);
  for (const { operands } of nodes) operands.forEach(count);
  roots.forEach(count);
  const held = new Map<Value, RefTensor>(cx.given);
  for (const node of nodes) {
    const operands = node.operands.map((value) => held.get(value)!);
    const results = runNode(node, operands, { ...cx, dims });
    if (bindsDims(node)) dims = bindDims(pairsOf(node, results), dims);
    node.results.forEach((value, i) => {
      if (!remaining.has(value)) return;
      const tensor = wrapped(results[i]!, value.type.dtype);
      held.set(value, cx.watch?.(value, tensor) ?? tensor);
    });
    for (const value of node.operands) {
      const left = remaining.get(value)! - 1;
      remaining.set(value, left);
      if (left === 0) held.delete(value);
    }
  }
  return roots.map((value) => held.get(value)!);
}

const wraps: Readonly<Partial<Record<DType, (x: number) => number>>> = {
  i32: (x) => x | 0,
  i8: (x) => (x << 24) >> 24,
  u8: (x) => x & 255,
};

/** Integers that leave their type come in again at the other end, as the runtime's do; beyond 2^53 they stay where they are. */
function wrapped(tensor: RefTensor, dtype: DType): RefTensor {
  const [wrap, ends] = [wraps[dtype], endsOf(dtype)];
  if (!wrap || tensor.data.every((x) => !(x < ends![0] || x > ends![1]))) return tensor;
  return { ...tensor, data: tensor.data.map((x) => (Number.isSafeInteger(x) ? wrap(x) : x)) };
}

const pairsOf = (node: Node, results: readonly RefTensor[]) =>
  node.results.map(({ type }, i) => ({ name: node.op, shape: type.shape, dims: results[i]!.dims }));

/** Everything below the roots down to what is given. */
function nodesToRun(roots: readonly Value[], given: ReadonlyMap<Value, RefTensor>): readonly Node[] {
  if ([...given.keys()].every(({ node }) => node.operands.length === 0))
    return topological(roots).filter((node) => !node.results.every((value) => given.has(value)));
  const needed = new Set<Node>();
  const stack = roots.filter((value) => !given.has(value)).map(({ node }) => node);
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (needed.has(node)) continue;
    needed.add(node);
    for (const value of node.operands) if (!given.has(value)) stack.push(value.node);
  }
  return [...needed].sort((a, b) => a.id - b.id);
}

function runNode(node: Node, operands: readonly RefTensor[], cx: Run): readonly RefTensor[] {
  const results = bindsDims(node) ? [] : node.results.map(({ type }) => concrete(node, type, cx.dims));
  if (node.op === "param") return [readParam(node, results[0]!.dims, cx)];
  if (node.op === "input")
    return fail(
      "QKV240",
      `the input "${String(node.attrs.get("name"))}" is not given: ${showType(node.results[0]!.type)}`,
    );
  const def = opDef(node.op);
  if (!def.evaluate) return runGraph(decompositionOf(node) ?? onlyRuntime(node), operands, cx);
  const made = def.evaluate(operands, {
    attrs: attrRecord(node),
    types: node.operands.map(({ type }) => type),
    results,
    size: (dim) => evaluateDim(dim, cx.dims),
    call: (graph, inputs) => runGraph(graph, inputs, cx),
  });
  return Array.isArray(made) ? (made as readonly RefTensor[]) : [made as RefTensor];
}

function runGraph(graph: Graph, inputs: readonly RefTensor[], cx: Run): readonly RefTensor[] {
  const given = new Map(graph.inputs.map((value, i) => [value, inputs[i]!]));
  return run(
    graph.outputs.map(({ value }) => value),
    { ...cx, given },
  );
}

function concrete(node: Node, type: TensorType, values: DimBindings) {
  const dims = type.shape.map((dim) => evaluateDim(dim, values));
  if (dims.some((dim) => dim < 0))
    fail("QKV245", `${node.op}: ${showType(type)} would be [${dims.join(", ")}] with these sizes`);
  if (elementCount(dims) > elementLimit)
    fail("QKV244", `${node.op}: ${showType(type)} would be [${dims.join(", ")}], more than the reference holds`);
  return { dtype: type.dtype, dims };
}

const onlyRuntime = (node: Node): never =>
  fail("QKV246", `${node.op} has no reference: only the runtime runs it`, {
    help: "compare with the file itself instead: qkv compare",
  });

function readParam(node: Node, dims: readonly number[], cx: Run): RefTensor {
  const name = String(node.attrs.get("name"));
  const tensor = cx.weights?.read(name) ?? fail("QKV243", `the parameter "${name}" has no weights`);
  const same = tensor.dims.length === dims.length && dims.every((dim, i) => dim === tensor.dims[i]);
  if (!same)
    fail("QKV242", `the parameter "${name}" is [${dims.join(", ")}], the weights are [${tensor.dims.join(", ")}]`);
  return { dims, data: toFloat64(tensor) };
}
