import { compareOutputs, type Tolerance } from "./backends/ort/compare-outputs.ts";
import type { OptimizationLevel } from "./backends/ort/session.ts";
import type { WeightStore } from "./backends/weights/store.ts";
import { type CompileOptions, compile, paramsOf } from "./compile.ts";
import type { Graph } from "./ir/graph.ts";
import { verifyGraph } from "./ir/verify.ts";
import { tallying, type WeightReader } from "./passes/pass.ts";
import type { Check } from "./reduce.ts";
import type { Case } from "./reduce-steps.ts";
import { type Reference, type Tensors, toleranceOf } from "./reference.ts";
import { roundingTolerance } from "./rounding.ts";
import { runModel } from "./session.ts";
import type { Step } from "./watch.ts";

/** How a case ends. */
type Ending = "equal" | "different" | "thrown";

/** Cases that end as `first` does. Those whose own meaning cannot be computed are none. */
export async function endingLike(first: Case, ending: (one: Case) => Promise<Ending>): Promise<Check> {
  const wanted = await ending(first);
  return async (one) => wanted !== "equal" && (await ending(one)) === wanted;
}

/** What a pass makes of a case, judged by the reference. */
export const ofPass =
  ({ pass, cx }: Step, reference: (weights: WeightReader) => Reference) =>
  async (one: Case): Promise<Ending> => {
    const judge = reference(one.weights);
    const { outputs } = judge;
    return judged(one, outputs, toleranceOf(pass, judge), async () => {
      const { report } = tallying();
      const after = await pass.run(one.graph, { ...cx, report, weights: one.weights });
      verifyGraph(after, { arena: cx.arena });
      return outputs(after, one.feeds);
    });
  };

/** What the runtime makes of a compiled case at an optimisation level. */
export const ofRuntime =
  (level: OptimizationLevel, options: CompileOptions, reference: (weights: WeightReader) => Reference) =>
  async (one: Case): Promise<Ending> =>
    judged(one, reference(one.weights).outputs, roundingTolerance(one.graph), async () => {
      const compiled = await compile(one, { ...options, weights: storeOf(one) });
      return runModel(compiled.onnx(), one.feeds, { level });
    });

/** Cases in which a rule fires. */
export const firing =
  (rule: string, options: CompileOptions): Check =>
  async (one) => {
    const { steps } = await compile(one, { ...options, weights: storeOf(one) });
    return steps.some(({ tally }) => tally.fired.has(rule));
  };

async function judged(
  { graph, arena, feeds }: Case,
  outputs: (graph: Graph, feeds: Tensors) => Promise<Tensors>,
  tolerance: Tolerance | undefined,
  run: () => Promise<Tensors>,
): Promise<Ending> {
  verifyGraph(graph, { arena });
  const expected = await outputs(graph, feeds);
  try {
    return compareOutputs(expected, await run(), tolerance).equal ? "equal" : "different";
  } catch {
    return "thrown";
  }
}

/** The weights of a case's own parameters. */
export function storeOf({ graph, weights }: Pick<Case, "graph" | "weights">): WeightStore {
  const specs = new Map(paramsOf(graph).map((param) => [param.name, param]));
  return {
    source: "the weights of the reduced graph",
    names: () => [...specs.keys()],
    has: (name) => specs.has(name),
    describe: (name) => specs.get(name)!,
    read: (name) => weights.read(name),
  };
}
