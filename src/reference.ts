import type { Tolerance } from "./backends/ort/compare-outputs.ts";
import { isFloat } from "./ir/dtype.ts";
import { evaluateGraph } from "./ir/evaluate.ts";
import type { Graph } from "./ir/graph.ts";
import { fromNumbers, type HostTensor } from "./ir/tensor.ts";
import type { WeightReader } from "./passes/pass.ts";

/** Tensors by the names of inputs or outputs. */
export type Tensors = ReadonlyMap<string, HostTensor>;

/** What a graph answers, computed as exactly as can be; throws what evaluation throws. */
export interface Reference {
  readonly outputs: (graph: Graph, feeds: Tensors) => Promise<Tensors>;
  /** How nearly two graphs of the same meaning agree. */
  readonly tolerance: Tolerance;
}

/** Graphs are compared in float64; what remains is the rounding of weights that were folded in their own precision. */
export const float64 = (weights: WeightReader): Reference => ({
  outputs: async (graph, feeds) => reference(graph, feeds, weights),
  tolerance: { absolute: 1e-8, relative: 1e-5 },
});

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
