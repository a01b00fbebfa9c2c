import { fromNumbers, tensorBytes } from "../../ir/tensor.ts";
import type { OnnxAttribute, OnnxGraph, OnnxModel, OnnxNode } from "./schema.ts";
import { onnxCode } from "./tensor-data.ts";

/**
 * The model without rounding its activations to 8 bits: scales become 1, zero points 0, products of integers products of
 * floats. It tells what a quantised model computes from how its rounding falls: a last bit ahead of a rounding may be a
 * whole step behind it, so that two graphs of the same meaning differ as much as ONNX Runtime's own optimiser does from none.
 *
 * Undefined where nothing is rounded so, or by operators that do more than that at once.
 */
export function unrounded(model: OnnxModel): OnnxModel | undefined {
  const state: State = { stored: new Set(), found: false, refused: false, count: 0 };
  const graph = unroundedGraph(model.graph, state);
  return state.found && !state.refused ? { ...model, graph } : undefined;
}

interface State {
  /** Names of tensors of the file. */
  readonly stored: Set<string>;
  found: boolean;
  refused: boolean;
  /** Names given so far. */
  count: number;
}

type Rewrite = (node: OnnxNode, state: State) => readonly OnnxNode[];

function unroundedGraph(graph: OnnxGraph, state: State): OnnxGraph {
  for (const { name } of graph.initializers) state.stored.add(name);
  // Declared types are no longer those of what was rounded.
  return { ...graph, valueInfo: [], nodes: graph.nodes.flatMap((node) => unroundedNode(node, state)) };
}

function unroundedNode(node: OnnxNode, state: State): readonly OnnxNode[] {
  if (/^(QLinear|QAttention|QGemm|DynamicQuantizeLSTM|DynamicQuantizeMatMul|MatMulIntegerToFloat)/.test(node.opType))
    state.refused = true;
  const isKnown = node.domain === "" || (node.domain === "com.microsoft" && node.opType === "DequantizeLinear");
  const rewrite = isKnown ? rewrites.get(node.opType) : undefined;
  if (rewrite) return rewrite(node, state);
  if (node.opType === "Constant") for (const name of node.outputs) state.stored.add(name);
  const attributes = Array.from(node.attributes, ([name, attribute]): [string, OnnxAttribute] => [
    name,
    attribute.kind === "graph" ? { kind: "graph", value: unroundedGraph(attribute.value, state) } : attribute,
  ]);
  return [{ ...node, attributes: new Map(attributes) }];
}

const made = (
  opType: string,
  inputs: readonly string[],
  output: string,
  attributes: OnnxNode["attributes"] = new Map(),
): OnnxNode => ({ opType, domain: "", name: "", inputs, outputs: [output], attributes });

const fresh = (state: State): string => `unrounded/${state.count++}`;

const toFloat = new Map<string, OnnxAttribute>([["to", { kind: "int", value: onnxCode("f32") }]]);

function number(output: string, value: number): readonly OnnxNode[] {
  const bytes = tensorBytes(fromNumbers("f32", [], [value]));
  const tensor = { name: output, dtype: "f32", dims: [], bytes } as const;
  return output === "" ? [] : [made("Constant", [], output, new Map([["value", { kind: "tensor", value: tensor }]]))];
}

/** x less its zero point, as floats. */
function shifted(x: string, zero: string | undefined, state: State): readonly [string, readonly OnnxNode[]] {
  const float = fresh(state);
  const cast = made("Cast", [x], float, toFloat);
  if (!zero) return [float, [cast]];
  const [point, difference] = [fresh(state), fresh(state)];
  return [difference, [cast, made("Cast", [zero], point, toFloat), made("Sub", [float, point], difference)]];
}

/** A product of integers as that of the floats they are. */
const product =
  (opType: string): Rewrite =>
  (node, state) => {
    const [x, y, zeroX, zeroY] = node.inputs;
    const [left, before] = shifted(x!, zeroX, state);
    const [right, beside] = shifted(y!, zeroY, state);
    return [...before, ...beside, { ...node, opType, inputs: [left, right] }];
  };

const rewrites: ReadonlyMap<string, Rewrite> = new Map<string, Rewrite>([
  [
    "DynamicQuantizeLinear",
    ({ inputs, outputs }, state) => {
      state.found = true;
      return [made("Identity", inputs, outputs[0]!), ...number(outputs[1] ?? "", 1), ...number(outputs[2] ?? "", 0)];
    },
  ],
  ["MatMulInteger", product("MatMul")],
  ["ConvInteger", product("Conv")],
  [
    "QuantizeLinear",
    ({ inputs: [x, scale, zero], outputs }, state) => {
      state.found = true;
      const quotient = zero ? fresh(state) : outputs[0]!;
      const divided = made("Div", [x!, scale!], quotient);
      if (!zero) return [divided];
      const point = fresh(state);
      return [divided, made("Cast", [zero], point, toFloat), made("Add", [quotient, point], outputs[0]!)];
    },
  ],
  [
    "DequantizeLinear",
    (node, state) => {
      const [x, scale, zero] = node.inputs;
      if (state.stored.has(x!)) return [node];
      const [difference, before] = shifted(x!, zero, state);
      return [...before, made("Mul", [difference, scale!], node.outputs[0]!)];
    },
  ],
]);
