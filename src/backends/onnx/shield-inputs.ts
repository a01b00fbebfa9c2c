import type { OnnxGraph, OnnxModel, OnnxNode } from "./schema.ts";

/** Products of one value from which simplifiers make one product. */
const mergeable = 3;

/**
 * Puts an Identity between a graph input and the products that read it, where there are three or more. ONNX's own
 * optimiser, which the checker onnxsim runs, merges such products and stops with a failed assertion when their common
 * operand is a graph input; with a node in between it goes through. Runtimes drop the Identity when they load the model.
 */
export function shieldInputs(model: OnnxModel): OnnxModel {
  const readers = new Map<string, OnnxNode[]>();
  for (const node of model.graph.nodes)
    if (node.opType === "MatMul") readers.set(node.inputs[0]!, [...(readers.get(node.inputs[0]!) ?? []), node]);
  const inputs = model.graph.inputs.filter(({ name }) => (readers.get(name)?.length ?? 0) >= mergeable);
  return inputs.length === 0
    ? model
    : { ...model, graph: inputs.reduce((graph, { name }) => shield(graph, name), model.graph) };
}

function shield(graph: OnnxGraph, input: string): OnnxGraph {
  const taken = new Set(graph.nodes.flatMap(({ outputs, name }) => [...outputs, name]));
  let copy = `${input}/Identity`;
  while (taken.has(copy)) copy += "_";
  const identity: OnnxNode = {
    opType: "Identity",
    domain: "",
    name: copy,
    inputs: [input],
    outputs: [copy],
    attributes: new Map(),
  };
  const nodes = graph.nodes.map((node) =>
    node.opType === "MatMul" && node.inputs[0] === input ? { ...node, inputs: [copy, ...node.inputs.slice(1)] } : node,
  );
  return { ...graph, nodes: [identity, ...nodes] };
}
