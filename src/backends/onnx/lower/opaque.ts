import { fail } from "../../../ir/diagnostics.ts";
import type { Value } from "../../../ir/graph.ts";
import type { opaque } from "../../../ir/ops/opaque.ts";
import type { TensorType } from "../../../ir/types.ts";
import { writtenDomain } from "../operator-versions.ts";
import { graphOfText } from "../proto-text.ts";
import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxValueInfo } from "../schema.ts";
import type { LowerContext, Lowerings } from "./lowering.ts";
import { type PendingGraph, type PendingNode, Ref } from "./ref.ts";

/** Tensors by the names the code gives them. */
type Names = ReadonlyMap<string, Ref>;

/** A tensor whose type the code does not tell. */
function untyped(info?: OnnxValueInfo): Ref {
  const ref = new Ref({ dtype: "f32", shape: [] });
  ref.info = info ?? "unknown";
  return ref;
}

/** The tensor of a name; nothing for an input left out. Throws QKV417 where no operator before makes it. */
const look = (names: Names, name: string): Ref | undefined => (name === "" ? undefined : present(names, name));

const present = (names: Names, name: string): Ref =>
  names.get(name) ?? fail("QKV417", `the code of an opaque node reads "${name}", which nothing before makes`);

/** The code's operators again, on tensors of this file. */
function written({ e, attrs, operands, node }: LowerContext<"opaque">): readonly (Ref | undefined)[] {
  const code = graphOfText(attrs.code);
  for (const [domain, version] of code.metadata ?? []) e.importDomain(domain, Number(version));
  const wanted = [code.inputs.length, code.outputs.length];
  if (wanted[0] !== operands.length || wanted[1] !== node.results.length)
    fail("QKV417", `the code of an opaque node has ${wanted[0]} inputs and ${wanted[1]} outputs`, {
      notes: [`the node has ${operands.length} operands and ${node.results.length} results`],
    });
  const names = new Map(code.inputs.map(({ name }, i) => [name, operands[i]!] as const));
  if (code.nodes[0]?.opType === "MaxPool" && isPadded(node.operands[0])) {
    // ONNX Runtime makes padding with zeros, which can be the largest, part of a MaxPool, which pads with what is least.
    const [x] = operands as [Ref];
    const shape = e.vector(x.type.shape.map(() => 0));
    names.set(code.inputs[0]!.name, e.op(x.type, "Reshape", [x, shape]));
  }
  const types = new Map(code.outputs.map(({ name }, i) => [name, node.results[i]!.type] as const));
  for (const inner of code.nodes) {
    const inputs = inner.inputs.map((name) => look(names, name));
    const results = inner.outputs.map((name) => (name === "" ? undefined : resultRef(types.get(name))));
    const attributes = attributesOf(inner, names);
    const domain = writtenDomain(inner.opType, inner.domain, Number(code.metadata?.get("") ?? 0), e.target);
    if (domain !== inner.domain) e.importDomain(domain, 1);
    e.append({ opType: inner.opType, domain, inputs, outputs: results, attributes });
    inner.outputs.forEach((name, i) => {
      if (results[i]) names.set(name, results[i]);
    });
  }
  return code.outputs.map(({ name }) => present(names, name));
}

const isPadded = (value: Value | undefined): boolean => value?.node.op === "pad";

const resultRef = (type: TensorType | undefined): Ref => (type ? new Ref(type) : untyped());

function attributesOf({ attributes }: OnnxNode, names: Names): ReadonlyMap<string, OnnxAttribute | PendingGraph> {
  return new Map(
    [...attributes].map(([name, value]) => [name, value.kind === "graph" ? body(value.value, names) : value]),
  );
}

/** A graph an operator holds: it reads the graphs around it by name, and its own names hide theirs. */
function body(graph: OnnxGraph, outer: Names): PendingGraph {
  const names = new Map(outer);
  const inputs = graph.inputs.map((info) => named(info, names));
  const nodes: PendingNode[] = graph.initializers.map((tensor) => {
    const ref = untyped();
    names.set(tensor.name, ref);
    const attributes = new Map([["value", { kind: "tensor", value: tensor }]] as const);
    return { opType: "Constant", domain: "", inputs: [], outputs: [ref], attributes, source: undefined };
  });
  const wanted = new Map(graph.outputs.map((info) => [info.name, info] as const));
  for (const node of graph.nodes) {
    const given = node.inputs.map((name) => look(names, name));
    const attributes = attributesOf(node, names);
    const outputs = node.outputs.map((name) => {
      const info = wanted.get(name);
      return name === "" ? undefined : named(info ?? { name, type: undefined }, names);
    });
    nodes.push({ opType: node.opType, domain: node.domain, inputs: given, outputs, attributes, source: undefined });
  }
  return { name: graph.name, inputs, nodes, outputs: graph.outputs.map(({ name }) => present(names, name)) };
}

function named(info: OnnxValueInfo, names: Map<string, Ref>): Ref {
  const ref = untyped(info);
  ref.wanted = info.name;
  names.set(info.name, ref);
  return ref;
}

export const opaqueLowerings: Lowerings<keyof typeof opaque> = { opaque: written };
