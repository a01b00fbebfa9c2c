import { compareOutputs, type Tolerance } from "./backends/ort/compare-outputs.ts";
import { type OptimizationLevel, openSession } from "./backends/ort/session.ts";
import type { WeightStore } from "./backends/weights/store.ts";
import { type Buildable, type Compiled, type CompileOptions, compile, type Declared } from "./compile.ts";
import { defaultSize, randomFeeds, symbolsIn } from "./feeds.ts";
import { costOf } from "./ir/cost.ts";
import { evaluate } from "./ir/dim.ts";
import { isFloat } from "./ir/dtype.ts";
import { evaluateGraph } from "./ir/evaluate.ts";
import type { Graph } from "./ir/graph.ts";
import { fromNumbers, type HostTensor } from "./ir/tensor.ts";
import { modelBytes } from "./session.ts";

export interface StageCheck {
  /** A pass, or the runtime at an optimisation level. */
  readonly stage: string;
  readonly maxAbsError: number;
  readonly maxRelError: number;
  readonly equal: boolean;
}

export interface VerifyReport {
  readonly model: string;
  readonly target: string;
  readonly runs: readonly { readonly dims: Readonly<Record<string, number>>; readonly stages: readonly StageCheck[] }[];
  /** Sizes left out because the reference would take too long. */
  readonly skipped: readonly Readonly<Record<string, number>>[];
  /** The first stage whose outputs differ, with the sizes that show it; the pass to look at. */
  readonly guilty?: { readonly stage: string; readonly dims: Readonly<Record<string, number>> };
}

export interface VerifyOptions extends CompileOptions {
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** Graphs are compared in float64; what remains is the rounding of weights that were folded in their own precision. */
const passTolerance: Tolerance = { absolute: 1e-8, relative: 1e-5 };
const flopLimit = 4e9;
const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];
const oddSizes = [1, 17, 33, 15, 31, 64, 65] as const;
const rounds = 4;

/**
 * Evaluates the graph after every pass in float64 and the finished file in the runtime at every optimisation level, on
 * seeded inputs over odd sizes, against the graph as declared.
 */
export async function verify(model: Buildable | Declared, options: VerifyOptions = {}): Promise<VerifyReport> {
  const compiled = await compile(model, options);
  const file = modelBytes(compiled.onnx());
  const runs: { dims: Readonly<Record<string, number>>; stages: readonly StageCheck[] }[] = [];
  const skipped: Readonly<Record<string, number>>[] = [];
  const sizes = sizesToTry(compiled.declared);
  for (const [i, dims] of sizes.entries()) {
    options.onProgress?.("verifying", i, sizes.length);
    const named = Object.fromEntries(dims);
    if (evaluate(costOf(compiled.declared).flops, dims) > flopLimit) skipped.push(named);
    else runs.push({ dims: named, stages: await checkStages(compiled, file, dims, options.seed ?? 0) });
  }
  const guilty = runs
    .flatMap(({ dims, stages }) => stages.filter(({ equal }) => !equal).map(({ stage }) => ({ stage, dims })))
    .at(0);
  return {
    model: compiled.declared.name,
    target: compiled.target.name,
    runs,
    skipped,
    ...(guilty && { guilty }),
  };
}

/** Sizes for the symbols of the inputs: all 1 first, then odd ones, different for different symbols. */
export function sizesToTry(graph: Graph): readonly ReadonlyMap<string, number>[] {
  const symbols = symbolsIn(graph);
  if (symbols.length === 0) return [new Map()];
  return Array.from(
    { length: rounds },
    (_, round) =>
      new Map(
        symbols.map((name, i) => {
          if (round === 0) return [name, 1];
          return [name, defaultSize(name) === 1 ? round : oddSizes[(round + i) % oddSizes.length]!];
        }),
      ),
  );
}

async function checkStages(compiled: Compiled, file: Uint8Array, dims: ReadonlyMap<string, number>, seed: number) {
  const feeds = randomFeeds(compiled.declared, dims, seed);
  const expected = reference(compiled.declared, feeds, compiled.weights);
  const stages: StageCheck[] = [];
  for (const { pass, before, after } of compiled.steps) {
    if (before === after) continue;
    stages.push(check(pass.name, expected, reference(after, feeds, compiled.weights), passTolerance));
  }
  for (const level of levels) {
    const session = await openSession(file, { level });
    try {
      stages.push(check(`ONNX Runtime, ${level}`, expected, await session.run(feeds)));
    } finally {
      await session.close();
    }
  }
  return stages;
}

function check(
  stage: string,
  expected: ReadonlyMap<string, HostTensor>,
  actual: ReadonlyMap<string, HostTensor>,
  tolerance?: Tolerance,
): StageCheck {
  const { maxAbsError, maxRelError, equal } = compareOutputs(expected, actual, tolerance);
  return { stage, maxAbsError, maxRelError, equal };
}

/** Outputs of a graph in float64 (integers and bools in their own type). */
export function reference(
  graph: Graph,
  feeds: ReadonlyMap<string, HostTensor>,
  weights: Pick<WeightStore, "read">,
): ReadonlyMap<string, HostTensor> {
  const outputs = evaluateGraph(graph, feeds, { weights });
  return new Map(
    graph.outputs.map(({ name, value }) => {
      const { dims, data } = outputs.get(name)!;
      return [name, fromNumbers(isFloat(value.type.dtype) ? "f64" : value.type.dtype, dims, data)];
    }),
  );
}
