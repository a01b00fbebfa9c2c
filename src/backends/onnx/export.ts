import type { Arena } from "../../ir/arena.ts";
import { fail } from "../../ir/diagnostics.ts";
import type { Graph } from "../../ir/graph.ts";
import { lengthLimits } from "../../ir/table-sizes.ts";
import { tensorBytes } from "../../ir/tensor.ts";
import type { TensorType } from "../../ir/types.ts";
import { onnxDim } from "./dims.ts";
import { contribDomain, Emitter, type ExportTarget } from "./lower/emitter.ts";
import type { WeightReader } from "./lower/host.ts";
import { lowerValues } from "./lower/lower-values.ts";
import { isPendingGraph, type PendingGraph, type PendingNode, type Ref } from "./lower/ref.ts";
import { isSafeName, NameTable } from "./names.ts";
import { irVersions, opsetRange } from "./opsets.ts";
import type {
  OnnxAttribute,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxTensorInfo,
  OnnxValueInfo,
} from "./schema.ts";
import { sinkDimensions } from "./sink.ts";
import { takeCaches } from "./take-caches.ts";

export type { ExportTarget } from "./lower/emitter.ts";
export type { WeightReader } from "./lower/host.ts";

export interface ExportContext {
  readonly arena: Arena;
  readonly target: ExportTarget;
  readonly weights: WeightReader;
  /** Sizes of dimensions the model will be run with, where known: they steer the choice of kernels, never the meaning. */
  readonly dims?: ReadonlyMap<string, number>;
  /** Written as the model's metadata, in order. */
  readonly metadata?: ReadonlyMap<string, string>;
  readonly producerVersion?: string;
  readonly docString?: string;
  /** Declares the types of intermediate tensors. Default true. */
  readonly valueInfo?: boolean;
}

/**
 * Writes `graph` as an ONNX model. Equal graphs with equal names give equal models.
 *
 * Throws QKV460 for an op without an ONNX form, QKV461 for input or output names ONNX cannot hold, QKV462 for a
 * dimension no input gives, QKV463 for weights that do not fit, QKV465 for an opset out of range.
 */
export function exportGraph(graph: Graph, cx: ExportContext): OnnxModel {
  const { opset } = cx.target;
  const irVersion =
    irVersions.get(opset) ??
    fail("QKV465", `opset ${opset} is not supported`, {
      help: `choose one from ${opsetRange.first} to ${opsetRange.last}`,
    });
  const e = new Emitter({
    arena: cx.arena,
    target: cx.target,
    weights: cx.weights,
    dims: cx.dims ?? new Map(),
    inputs: graph.inputs,
    limits: lengthLimits(graph),
    lower: lowerValues,
  });
  lowerValues(
    e,
    graph.outputs.map(({ value }) => value),
  );
  const writer = new Writer(e, graph, cx);
  const written = writer.model();
  return {
    irVersion,
    opsetImports: [
      { domain: "", version: opset },
      ...(writer.usesContrib ? [{ domain: contribDomain, version: 1 }] : []),
      ...[...e.domains].flatMap(([domain, version]) => (domain === contribDomain ? [] : [{ domain, version }])),
    ],
    producerName: "qkv",
    producerVersion: cx.producerVersion ?? "",
    ...(cx.docString === undefined ? {} : { docString: cx.docString }),
    metadata: cx.metadata ?? new Map(),
    graph: written,
  };
}

/** Gives every tensor its name, then writes the graph in ONNX's terms. */
class Writer {
  usesContrib = false;
  readonly #e: Emitter;
  readonly #graph: Graph;
  readonly #cx: ExportContext;
  readonly #names = new NameTable();
  readonly #nodeNames = new NameTable();

  constructor(e: Emitter, graph: Graph, cx: ExportContext) {
    this.#e = e;
    this.#graph = graph;
    this.#cx = cx;
  }

  model(): OnnxGraph {
    const inputs = this.#graph.inputs.map((value) => this.#e.ref(value));
    this.#graph.inputs.forEach((value, i) => {
      inputs[i]!.name = this.#exact(String(value.node.attrs.get("name")), "input");
    });
    const outputs = this.#outputs();
    const interface_ = new Set([...inputs, ...outputs]);
    const pending = takeCaches(sinkDimensions(this.#e.nodes, interface_));
    const used = new Set(allNodes(pending).flatMap((node) => node.inputs));
    const initializers = this.#e.initializers.filter(({ ref }) => used.has(ref));
    for (const { ref } of initializers) ref.name = this.#names.unique(ref.wanted ?? "constant");
    this.#nameWanted(pending);
    this.#nameRest(pending);
    const nodes = this.#nodes(pending);
    return {
      name: this.#graph.name,
      nodes,
      inputs: inputs.map((ref) => info(ref.name!, ref.type)),
      outputs: outputs.map((ref) => info(ref.name!, ref.type)),
      valueInfo: this.#valueInfo(pending, interface_),
      initializers: initializers.map(({ ref, read }): OnnxTensor => {
        const tensor = read();
        return { name: ref.name!, dtype: tensor.dtype, dims: tensor.dims, bytes: tensorBytes(tensor) };
      }),
    };
  }

  /** Input and output names are the caller's; they are kept to the letter. */
  #exact(name: string, role: "input" | "output"): string {
    if (!isSafeName(name))
      fail("QKV461", `the ${role} name ${JSON.stringify(name)} cannot be written`, {
        help: "use a name without blanks and control characters",
      });
    if (!this.#names.reserve(name))
      fail("QKV461", `the ${role} name "${name}" is taken by another input or output`, { help: `rename the ${role}` });
    return name;
  }

  /** What is already named, a constant, or asked for twice reaches the output by a copy. */
  #outputs(): readonly Ref[] {
    const constants = new Set(this.#e.initializers.map(({ ref }) => ref));
    const found = this.#graph.outputs.map(({ name, value }) => ({ name, ref: this.#e.ref(value) }));
    const exact = found.map(({ name }) => this.#exact(name, "output"));
    return found.map(({ ref }, i) => {
      this.#e.serve(undefined);
      const own = ref.name === undefined && !constants.has(ref) ? ref : this.#e.op(ref.type, "Identity", [ref]);
      own.name = exact[i]!;
      return own;
    });
  }

  #nameWanted(nodes: readonly PendingNode[]): void {
    for (const ref of [...allOutputs(nodes), ...bodyInputs(nodes)])
      if (ref.wanted !== undefined) ref.name ??= this.#names.unique(ref.wanted);
  }

  /** Interior results are called after the value they serve, everything else after its operator. */
  #nameRest(nodes: readonly PendingNode[]): void {
    for (const node of allNodes(nodes))
      for (const ref of node.outputs)
        if (ref && ref.name === undefined) ref.name = this.#names.unique(this.#defaultName(node));
  }

  #defaultName({ source, opType }: PendingNode): string {
    const served = source && this.#e.arena.hintOf(source.results[0]!).name;
    return served === undefined ? opType.toLowerCase() : `${served}/${opType}`;
  }

  #nodes(pending: readonly PendingNode[]): OnnxNode[] {
    return pending.map((node) => {
      if (node.domain === contribDomain) this.usesContrib = true;
      const outputs = node.outputs.map((ref) => ref?.name ?? "");
      const name = this.#nodeNames.unique(outputs.find((output) => output !== "") ?? node.opType);
      const attributes = new Map<string, OnnxAttribute>();
      for (const [key, value] of node.attributes)
        attributes.set(key, isPendingGraph(value) ? { kind: "graph", value: this.#branch(value) } : value);
      return {
        opType: node.opType,
        domain: node.domain,
        name,
        inputs: trimmed(node.inputs.map((ref) => ref?.name ?? "")),
        outputs: trimmed(outputs),
        attributes,
      };
    });
  }

  /** Types of what is in between: where the runtime's own inference is wrong, they set it right. */
  #valueInfo(nodes: readonly PendingNode[], except: ReadonlySet<Ref>): readonly OnnxTensorInfo[] {
    if (this.#cx.valueInfo === false) return [];
    return nodes.flatMap(({ outputs }) =>
      outputs.flatMap((ref) => (ref && !ref.info && !except.has(ref) ? [info(ref.name!, ref.type)] : [])),
    );
  }

  #branch({ name, nodes, inputs = [], outputs }: PendingGraph): OnnxGraph {
    return {
      name,
      nodes: this.#nodes(nodes),
      inputs: inputs.map(infoOf),
      outputs: outputs.map(infoOf),
      valueInfo: this.#valueInfo(nodes, new Set([...inputs, ...outputs])),
      initializers: [],
    };
  }
}

/** Left-out operands at the end need no empty names. */
function trimmed(names: string[]): string[] {
  while (names.at(-1) === "") names.pop();
  return names;
}

/** What is declared of a tensor of a branch. */
const infoOf = ({ name, type, info: given }: Ref): OnnxValueInfo =>
  given === "unknown" ? { name: name!, type: undefined } : given ? { ...given, name: name! } : info(name!, type);

const info = (name: string, { dtype, shape }: TensorType): OnnxTensorInfo => ({
  name,
  dtype,
  shape: shape.map(onnxDim),
});

/** Nodes with those of branches after the node they belong to. */
function allNodes(nodes: readonly PendingNode[]): readonly PendingNode[] {
  const all: PendingNode[] = [];
  const stack = [...nodes].reverse();
  while (stack.length > 0) {
    const node = stack.pop()!;
    all.push(node);
    for (const value of [...node.attributes.values()].reverse())
      if (isPendingGraph(value)) for (const inner of [...value.nodes].reverse()) stack.push(inner);
  }
  return all;
}

const allOutputs = (nodes: readonly PendingNode[]): readonly Ref[] =>
  allNodes(nodes).flatMap(({ outputs }) => outputs.filter((ref) => ref !== undefined));

const bodyInputs = (nodes: readonly PendingNode[]): readonly Ref[] =>
  allNodes(nodes).flatMap(({ attributes }) =>
    [...attributes.values()].flatMap((value) => (isPendingGraph(value) ? (value.inputs ?? []) : [])),
  );
