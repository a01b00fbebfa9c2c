import { exportGraph } from "./backends/onnx/export.ts";
import { type Arena, graphOf } from "./ir/arena.ts";
import { invariant } from "./ir/diagnostics.ts";
import { type ConstantRuntime, defaultPassOptions } from "./passes/pass.ts";
import { naive, runPipeline } from "./passes/pipeline.ts";
import { naiveTarget } from "./passes/target.ts";
import { runModel } from "./session.ts";

/** Computes constant subgraphs in ONNX Runtime: the fast way to multiply large weights ahead of time. */
export const constantRuntime = (arena: Arena): ConstantRuntime => ({
  async evaluate(values, weights) {
    const declared = graphOf(
      "constants",
      [],
      values.map((value, i) => [`c${i}`, value]),
    );
    const target = naiveTarget();
    const cx = { arena, target, dims: new Map(), options: defaultPassOptions };
    const { graph } = await runPipeline(declared, naive, cx);
    invariant(weights, "constants of parameters are computed only with weights");
    const model = exportGraph(graph, { arena, target, weights, metadata: new Map(), dims: new Map() });
    const outputs = await runModel(model, new Map(), { level: "disabled" });
    return values.map((_, i) => outputs.get(`c${i}`)!);
  },
});
