import { exportGraph } from "./backends/onnx/export.ts";
import { unrounded } from "./backends/onnx/unrounded.ts";
import { type Tolerance, tolerances } from "./backends/ort/compare-outputs.ts";
import { resolveTarget } from "./compile.ts";
import { type Arena, opDef } from "./ir/arena.ts";
import { everyNode } from "./ir/cost.ts";
import { isFloat } from "./ir/dtype.ts";
import { evaluateGraph } from "./ir/evaluate.ts";
import type { Graph } from "./ir/graph.ts";
import { fromNumbers, type HostTensor } from "./ir/tensor.ts";
import type { Pass, WeightReader } from "./passes/pass.ts";
import { roundingTolerance } from "./rounding.ts";
import { runModel } from "./session.ts";

/** Tensors by the names of inputs or outputs. */
export type Tensors = ReadonlyMap<string, HostTensor>;

/** What a graph answers, computed as exactly as can be; throws what evaluation throws. */
export interface Reference {
  readonly outputs: (graph: Graph, feeds: Tensors) => Promise<Tensors>;
  /** How nearly two graphs of the same meaning agree. */
  readonly tolerance: Tolerance;
  /** It is float64, which takes inputs and sizes that runtimes have trouble with. */
  readonly isExact: boolean;
}

/**
 * How to compute what a graph answers: in float64, or, where an operation of it has no meaning but the runtime's, by the
 * runtime with its optimiser off and activations not rounded to 8 bits.
 */
export const referenceFor = (graph: Graph, arena: Arena): ((weights: WeightReader) => Reference) =>
  everyNode(graph).every(({ op }) => isEvaluated(op))
    ? (weights) => float64(weights, halfTolerance(graph))
    : (weights) => inRuntime(weights, arena, roundingTolerance(graph));

const isEvaluated = (op: string): boolean => {
  const { evaluate, decompose } = opDef(op);
  return op === "input" || op === "param" || evaluate !== undefined || decompose !== undefined;
};

/** What a pass is held to. */
export const toleranceOf = ({ clears = false }: Pass, { tolerance }: Pick<Reference, "tolerance">) =>
  tolerance && { ...tolerance, sameNaN: tolerance.sameNaN === true && !clears };

/** By the runtime with its optimiser off, every composite in simple operators. */
export const inRuntime = (weights: WeightReader, arena: Arena, tolerance = tolerances.f32): Reference => ({
  outputs: (graph, feeds) => {
    const target = resolveTarget({ naive: true }, graph);
    const given = { arena, target, weights, metadata: new Map(), dims: new Map() };
    const model = exportGraph(graph, given);
    return runModel(unrounded(model) ?? model, feeds, { level: "disabled" });
  },
  tolerance,
  isExact: false,
});

/**
 * Graphs are compared in float64; what remains is the rounding of weights that were folded in their own precision, and
 * of constants that half precision has rounded, where a rule takes them for the numbers they stand for.
 */
const float64 = (weights: WeightReader, relative: number): Reference => ({
  outputs: async (graph, feeds) => reference(graph, feeds, weights),
  tolerance: { absolute: 1e-8, relative, sameNaN: true },
  isExact: true,
});

/** Half a unit in the last place of bf16 or f16, where a graph computes in these. */
function halfTolerance(graph: Graph): number {
  const rounding = roundingTolerance(graph);
  return rounding === tolerances.bf16 ? 2 ** -9 : rounding === tolerances.f16 ? 2 ** -12 : 1e-5;
}

/** Outputs of a graph in float64 (integers and bools in their own type). */
export function reference(graph: Graph, feeds: Tensors, weights: Pick<WeightReader, "read">): Tensors {
  const outputs = evaluateGraph(graph, feeds, { weights });
  return new Map(
    graph.outputs.map(({ name, value }) => {
      const { dims, data } = outputs.get(name)!;
      return [name, fromNumbers(isFloat(value.type.dtype) ? "f64" : value.type.dtype, dims, data)];
    }),
  );
}
