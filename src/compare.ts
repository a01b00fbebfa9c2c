import { cpus, totalmem } from "node:os";
import { type Agreement, agreement, type Contender } from "./agreement.ts";
import { readModel } from "./backends/onnx/decode.ts";
import { exportGraph } from "./backends/onnx/export.ts";
import type { OnnxModel } from "./backends/onnx/schema.ts";
import { type MeasureOptions, measure } from "./backends/ort/measure.ts";
import { peakMemory } from "./backends/ort/memory.ts";
import { nodePlacement } from "./backends/ort/placement.ts";
import { type OptimizationLevel, openSession, runtimeInfo, type Session } from "./backends/ort/session.ts";
import type { WeightStore } from "./backends/weights/store.ts";
import type { CompareReport, PassReportJson, RunReport, VariantReport } from "./compare-report.ts";
import { type Buildable, buildFor, type Compiled, type CompileOptions, compile, type Declared } from "./compile.ts";
import { diffAgainst } from "./diff.ts";
import { completeDims, dimsOfFeeds, randomFeeds } from "./feeds.ts";
import { crossoversOf, growthOf, type SweepRun } from "./growth.ts";
import { costOf, everyNode, type GraphCost } from "./ir/cost.ts";
import { QkvError } from "./ir/diagnostics.ts";
import { evaluate, show } from "./ir/dim.ts";
import { substituteDType } from "./ir/substitute.ts";
import { castTensor, elementCount, type HostTensor } from "./ir/tensor.ts";
import type { PassStep } from "./passes/instruments.ts";
import { naiveTarget } from "./passes/target.ts";
import { realPositions } from "./real-positions.ts";
import { reference } from "./reference.ts";
import { roundingTolerance } from "./rounding.ts";
import { checkRunnable, leastLevel, modelBytes, notAsItIs, runModel, tryFile } from "./session.ts";

export interface CompareOptions extends Omit<CompileOptions, "dims" | "hints" | "naive" | "instruments"> {
  /** Sizes, one set per run. Symbols left out take defaults: 1 for a batch, 128 for others. */
  readonly runs?: readonly ReadonlyMap<string, number>[];
  readonly threads?: number;
  /** Another model with the same inputs and outputs, as a row of its own. */
  readonly against?: string;
  /** One more row per rule that fired, compiled without it. */
  readonly ablate?: boolean;
  /** Measure peak memory, each variant in a process of its own. Default true. */
  readonly memory?: boolean;
  readonly measure?: MeasureOptions;
  /** Inputs to use instead of random ones; sizes are theirs. */
  readonly feeds?: ReadonlyMap<string, HostTensor>;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

type Outputs = ReadonlyMap<string, HostTensor>;

interface Candidate extends Contender {
  readonly name: string;
  readonly model: Uint8Array | string;
  readonly cost?: GraphCost;
  readonly params: number;
  readonly compiled?: Compiled;
}

/** Above this many floating-point operations the reference runs in the runtime, in float64. */
const referenceFlops = 2e8;

/**
 * Compiles a model naively and for a target, runs both (and the naive graph under the runtime's own optimiser) on the
 * same inputs in one process, in turns, and reports sizes, costs, times and errors. Outputs that differ are marked
 * not equal; their times are no speed-up.
 */
export async function compare(model: Buildable | Declared, options: CompareOptions = {}): Promise<CompareReport> {
  const runs: SweepRun[] = [];
  let last: Compiled | undefined;
  let lastDims: ReadonlyMap<string, number> = new Map();
  const cells = options.runs ?? [new Map<string, number>()];
  for (const [i, given] of cells.entries()) {
    const { report, costs, compiled } = await compareOnce(model, given, options, (what, done, total) =>
      options.onProgress?.(cells.length > 1 ? `run ${i + 1} of ${cells.length}: ${what}` : what, done, total),
    );
    runs.push({ report, costs });
    last = compiled;
    lastDims = new Map(Object.entries(report.dims));
  }
  return {
    model: last?.declared.name ?? "",
    target: last?.target.name ?? "",
    machine: await describeMachine(options),
    runs: runs.map(({ report }) => report),
    passes: last?.steps.map(passJson) ?? [],
    growth: growthOf(runs),
    crossovers: crossoversOf(runs),
    diff: last && options.against ? await diffAgainst(last, options.against, lastDims, options.seed) : null,
  };
}

type OnProgress = NonNullable<CompareOptions["onProgress"]>;

async function compareOnce(
  model: Buildable | Declared,
  given: ReadonlyMap<string, number>,
  options: CompareOptions,
  onProgress: OnProgress,
) {
  onProgress("compiling", 0, 1);
  const built: Declared = "build" in model ? buildFor(model, options) : model;
  const dims = options.feeds ? dimsOfFeeds(built.graph, options.feeds, given) : completeDims(built.graph, given);
  const { runs: _runs, measure: timing, ...compileOptions } = options;
  // What is compared against is as declared, whatever passes were asked for.
  const { passes: _passes, ...naiveOptions } = compileOptions;
  const naive = await compile(built, { ...naiveOptions, hints: dims, naive: true });
  const optimised = await compile(built, { ...compileOptions, hints: dims });
  const feeds = options.feeds ?? randomFeeds(naive.declared, dims, options.seed ?? 0);
  for (const compiled of [naive, optimised]) checkRunnable(compiled.onnx(), feeds);
  const ofFile = built.file === undefined ? undefined : await tryFile(built.file, feeds);
  const [asItIs, refusal] = ofFile instanceof QkvError ? [undefined, ofFile] : [ofFile, undefined];
  const candidates = await candidatesOf(built, asItIs && built.file, naive, optimised, dims, options);
  onProgress("computing the reference", 0, 1);
  const withFile = candidates.some(({ model }) => typeof model === "string");
  const how = {
    compared: withFile ? realPositions(naive, feeds) : undefined,
    tolerance: roundingTolerance(naive.declared),
  };
  const agreeWith = (expected: Outputs) => (one: Candidate, outputs: Outputs) =>
    agreement([candidates[0]!, expected], [one, outputs], feeds, how);
  const computed = await referenceOutputs(naive, feeds, dims, asItIs);
  // Where a file rounds to whole numbers, as to buckets of distances, its own precision is part of what it says.
  const follows = asItIs === undefined || (await agreeWith(computed.expected)(candidates[0]!, asItIs)).equal;
  const { reference: referenceName, expected } = follows ? computed : fileReference(asItIs);
  const agree = agreeWith(expected);
  const variants = await runCandidates(candidates, feeds, agree, dims, options, timing ?? {}, onProgress).catch(
    (error) => {
      throw refusal ?? error;
    },
  );
  const realPositionsOf = withFile ? (options.unpad ?? null) : null;
  const told = { reference: referenceName, realPositionsOf, fileRefused: refusal ? notAsItIs(refusal) : null };
  return {
    report: { dims: Object.fromEntries(dims), ...told, variants } as RunReport,
    costs: new Map(candidates.flatMap(({ name, cost }) => (cost ? [[name, cost] as const] : []))),
    compiled: optimised,
  };
}

function candidate(name: string, compiled: Compiled, level: OptimizationLevel, bytes?: Uint8Array | string): Candidate {
  const onnx = compiled.onnx();
  return {
    name,
    model: bytes ?? modelBytes(onnx),
    onnx: typeof bytes === "string" ? () => readModel(bytes) : () => onnx,
    level,
    cost: costOf(compiled.graph),
    params: paramsOf(onnx),
    compiled,
  };
}

const paramsOf = ({ graph }: OnnxModel): number =>
  graph.initializers.reduce((total, { dims }) => total + elementCount(dims), 0);

function candidateOfFile(file: string): Candidate {
  const onnx = readModel(file);
  return { name: file, model: file, onnx: () => onnx, level: "all", params: paramsOf(onnx) };
}

async function candidatesOf(
  built: Declared,
  file: string | undefined,
  naive: Compiled,
  optimised: Compiled,
  dims: ReadonlyMap<string, number>,
  options: CompareOptions,
): Promise<readonly Candidate[]> {
  // A file is compared as it is, not as it was read.
  const bytes = file ?? modelBytes(naive.onnx());
  const plain = file === undefined ? "disabled" : await leastLevel(file);
  const list = [
    candidate("naive", naive, plain, bytes),
    candidate("ort", naive, "all", bytes),
    candidate("optimised", optimised, "all"),
  ];
  const { against } = options;
  if (against) list.push(candidateOfFile(against));
  if (options.ablate) {
    const { runs: _runs, measure: _measure, ...rest } = options;
    const fired = new Set(optimised.steps.flatMap(({ tally }) => [...tally.fired.keys()]));
    for (const rule of fired) {
      const compiled = await compile(built, { ...rest, hints: dims, without: new Set([rule]) });
      if (compiled.graph !== optimised.graph) list.push(candidate(`without ${rule}`, compiled, "all"));
    }
  }
  return list;
}

async function runCandidates(
  candidates: readonly Candidate[],
  feeds: ReadonlyMap<string, HostTensor>,
  agree: (one: Candidate, outputs: Outputs) => Promise<Agreement>,
  dims: ReadonlyMap<string, number>,
  options: CompareOptions,
  timing: MeasureOptions,
  onProgress: OnProgress,
): Promise<readonly VariantReport[]> {
  const session = {
    ep: options.ep ?? "cpu",
    ...(options.threads !== undefined && { threads: options.threads }),
  } as const;
  const sessions: Session[] = [];
  try {
    for (const { model, level } of candidates) sessions.push(await openSession(model, { ...session, level }));
    const agreements: Agreement[] = [];
    for (const [i, one] of candidates.entries()) agreements.push(await agree(one, await sessions[i]!.run(feeds)));
    const latencies = await measure(
      candidates.map(({ name }, i) => ({ name, session: sessions[i]!, feeds })),
      { ...timing, onProgress: (done, total) => onProgress("timing", done, total) },
    );
    const reports: VariantReport[] = [];
    for (const [i, { name, model, level, cost, params }] of candidates.entries()) {
      onProgress("measuring memory", i, candidates.length);
      const peak = options.memory === false ? null : await peakMemory(model, feeds, { ...session, level });
      const placement = await nodePlacement(model, { ...session, level, feeds });
      const { maxAbsError, maxRelError, equal, unrounded } = agreements[i]!;
      reports.push({
        name,
        level,
        nodes: placement.nodes.length,
        placement: Object.fromEntries(placement.counts),
        params,
        flops: cost ? evaluate(cost.flops, dims) : null,
        bytes: cost ? evaluate(cost.bytes, dims) : null,
        peakBytes: peak?.peakBytes ?? null,
        latencyMs: latencies[i]!,
        maxAbsError,
        maxRelError,
        equal,
        unrounded,
      });
    }
    return reports;
  } finally {
    for (const open of sessions) await open.close();
  }
}

/**
 * What outputs should be: by the float64 evaluator where that is quick, else by the runtime computing in float64. With
 * operators only the runtime has, what the file gives as it is; without a file, the naive graph.
 */
async function referenceOutputs(
  naive: Compiled,
  feeds: ReadonlyMap<string, HostTensor>,
  dims: ReadonlyMap<string, number>,
  asItIs?: Outputs,
): Promise<{ readonly reference: RunReport["reference"]; readonly expected: ReadonlyMap<string, HostTensor> }> {
  if (everyNode(naive.declared).some(({ op }) => op === "opaque")) {
    return asItIs ? fileReference(asItIs) : runtimeReference(naive, feeds);
  }
  const flops = evaluate(costOf(naive.declared).flops, dims);
  if (flops <= referenceFlops)
    return { reference: "float64 reference", expected: reference(naive.declared, feeds, naive.weights) };
  return runtimeReference(naive, feeds);
}

const fileReference = (expected: Outputs) => ({ reference: "file as it is", expected }) as const;

const unoptimised = { level: "disabled" } as const;

async function runtimeReference(naive: Compiled, feeds: ReadonlyMap<string, HostTensor>) {
  const { arena, weights } = naive;
  try {
    const graph = substituteDType(arena, naive.graph, "f32", "f64");
    const store: Pick<WeightStore, "has" | "read"> = {
      has: weights.has,
      read: (name) => {
        const tensor = weights.read(name);
        return tensor.dtype === "f32" ? castTensor(tensor, "f64") : tensor;
      },
    };
    const model = exportGraph(graph, {
      arena,
      target: naiveTarget(),
      weights: store,
      metadata: new Map(),
      dims: new Map(),
    });
    const wide = new Map(Array.from(feeds, ([name, x]) => [name, x.dtype === "f32" ? castTensor(x, "f64") : x]));
    return { reference: "naive graph in float64", expected: await runModel(model, wide, unoptimised) } as const;
  } catch {
    // The runtime lacks some float64 kernels; then the float32 graph, unoptimised, is the best there is, and is said to be.
    return { reference: "naive graph in float32", expected: await runModel(naive.onnx(), feeds, unoptimised) } as const;
  }
}

/** A pass as `compare --json` tells it. */
export function passJson({ pass, tally, before, after, milliseconds }: PassStep): PassReportJson {
  const [from, to] = [costOf(before), costOf(after)];
  return {
    name: pass.name,
    rules: {
      fired: Object.fromEntries(tally.fired),
      refused: Object.fromEntries(Array.from(tally.refused, ([rule, reasons]) => [rule, Object.fromEntries(reasons)])),
    },
    flops: { before: show(from.flops), after: show(to.flops) },
    nodes: { before: from.nodes, after: to.nodes },
    notes: tally.notes,
    ms: milliseconds,
  };
}

async function describeMachine({ threads, ep }: CompareOptions): Promise<CompareReport["machine"]> {
  const { version } = await runtimeInfo();
  const all = cpus();
  return {
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    onnxruntime: version,
    ep: ep ?? "cpu",
    threads: threads ?? all.length,
  };
}
