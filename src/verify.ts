import { unrounded } from "./backends/onnx/unrounded.ts";
import { compareOutputs, type Tolerance } from "./backends/ort/compare-outputs.ts";
import { type OptimizationLevel, openSession } from "./backends/ort/session.ts";
import { randomWeights } from "./backends/weights/random-weights.ts";
import type { WeightStore } from "./backends/weights/store.ts";
import { type Blame, blame } from "./bisect.ts";
import { type Buildable, buildFor, type Compiled, type CompileOptions, type Declared, paramsOf } from "./compile.ts";
import { costOf } from "./ir/cost.ts";
import { fail } from "./ir/diagnostics.ts";
import { evaluate } from "./ir/dim.ts";
import type { Graph } from "./ir/graph.ts";
import { toFloat64 } from "./ir/tensor.ts";
import { maxUlpError as ulpError } from "./ir/ulp.ts";
import { inRuntime, type Reference, referenceFor, type Tensors, toleranceOf } from "./reference.ts";
import { roundingTolerance } from "./rounding.ts";
import { modelBytes } from "./session.ts";
import type { StageCheck, VerifyReport, VerifyRun } from "./verify-report.ts";
import { longer } from "./verify-sizes.ts";
import { refuses, type Trial, type Trials, trialOf, trialsOf, trialsOfPasses } from "./verify-trials.ts";
import { messageOf, type Step, type Watched, watch } from "./watch.ts";

type Sizes = ReadonlyMap<string, number>;

export interface VerifyOptions extends CompileOptions {
  /** Inputs to try instead of seeded ones; sizes are theirs. */
  readonly feeds?: Tensors;
  /** Stages to judge, by name; all others are taken as right. */
  readonly stage?: string;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];
/** Long sizes may take this many. */
const flopsForLong = 6e8;
const frozenUpTo = 1027;

/**
 * Evaluates the graph before and after every pass in float64 and the finished file in the runtime at every optimisation
 * level, on seeded inputs over odd sizes and lengths past every branch the passes made, and passes where one size is 0;
 * then once more with long sizes frozen, where passes choose otherwise for them. Names the first stage that changes
 * results and, for a pass, the rewrite.
 * Where no weights are given, all are random: zeros and ones would hide mistakes. Activations that the model rounds to 8 bits
 * are not rounded here: see `unrounded`.
 */
export const verify = async (model: Buildable | Declared, options: VerifyOptions = {}): Promise<VerifyReport> =>
  (await investigate(model, options)).report;

/** A report, and what shows the guilty stage. */
export interface Investigation {
  readonly report: VerifyReport;
  readonly evidence?: { readonly watched: Watched; readonly trial: Trial; readonly step?: Step };
}

/** What `verify` does, with the graphs and inputs at hand that show what it found. */
export async function investigate(model: Buildable | Declared, options: VerifyOptions = {}): Promise<Investigation> {
  const built = "build" in model ? buildFor(model, options) : model;
  const seed = options.seed ?? 0;
  const given = { ...options, seed, weights: options.weights ?? built.tensors ?? everyWeightRandom(built.graph, seed) };
  const open = await watch(built, given);
  const first = await verifyOnce(open, given);
  const long = first.evidence || options.feeds ? undefined : longSizes(built.graph, options.dims);
  if (!long) return first;
  const frozen = await watch(built, { ...given, dims: long }).catch(() => undefined);
  if (!frozen || !firesMore(frozen, open)) return first;
  const { report, ...found } = await verifyOnce(frozen, given, { dims: long, open });
  const runs = [...first.report.runs, ...report.runs];
  const skipped = [...first.report.skipped, ...report.skipped];
  return { ...found, report: { ...report, runs, skipped } };
}

/** The longest of the long sizes that the reference is quick with; undefined where no size is open. */
function longSizes(graph: Graph, given: Sizes = new Map()): Sizes | undefined {
  return longer(graph, given)
    .filter((dims) => Math.max(...dims.values()) <= frozenUpTo && evaluate(costOf(graph).flops, dims) <= flopsForLong)
    .at(-1);
}

const rulesOf = ({ steps }: Watched): ReadonlySet<string> => new Set(steps.flatMap(({ fired }) => [...fired]));

function firesMore(more: Watched, less: Watched): boolean {
  const known = rulesOf(less);
  return more.compiled === undefined || [...rulesOf(more)].some((rule) => !known.has(rule));
}

/** With sizes open, or frozen that were `open`. */
async function verifyOnce(
  watched: Watched,
  options: VerifyOptions & { seed: number },
  frozen?: { readonly dims: Sizes; readonly open: Watched },
): Promise<Investigation> {
  const reference = referenceFor(watched.declared, watched.arena)(watched.weights);
  const file = watched.compiled && fileOf(watched.compiled);
  const { trials, skipped } = await trialsFor(watched, options, reference, frozen?.dims);
  const refused = new Set<Sizes>();
  const tried: { trial: Trial; stages: readonly StageCheck[] }[] = [];
  for (const [i, trial] of trials.entries()) {
    options.onProgress?.("verifying", i, trials.length);
    if (refused.has(trial.dims)) continue;
    const stages = await checkStages(watched, file, trial, reference);
    const isWrong = !options.feeds && stages.some(({ equal }) => !equal);
    if (isWrong && (await refuses(frozen?.open ?? watched, trial.dims, options.seed))) refused.add(trial.dims);
    else tried.push({ trial, stages });
  }
  const checked = tried.filter(({ trial }) => !refused.has(trial.dims));
  const found = firstGuilty(checked, options.stage);
  if (found) options.onProgress?.("bisecting", trials.length, trials.length);
  const step = found && watched.steps.find(({ index }) => index === found.index);
  const report: VerifyReport = {
    model: watched.declared.name,
    target: watched.target,
    runs: merged(checked, frozen !== undefined),
    skipped: [...skipped, ...refused].map((dims) => Object.fromEntries(dims)),
    ...(found && {
      guilty: {
        ...{ stage: found.stage, index: found.index, dims: Object.fromEntries(found.trial.dims) },
        ...(step && (await blameStep(step, found.trial, reference))),
      },
    }),
  };
  return { report, ...(found && { evidence: { watched, trial: found.trial, ...(step && { step }) } }) };
}

/** Throws QKV513 where no sizes can be tried. */
async function trialsFor(
  watched: Watched,
  options: VerifyOptions & { seed: number },
  reference: Reference,
  frozen?: Sizes,
): Promise<Trials> {
  if (options.feeds) return trialOf(watched.declared, options.feeds);
  const usual = trialsOf(watched, options.seed, frozen);
  if (frozen) return usual;
  if (usual.trials.length === 0)
    fail("QKV513", `evaluating @${watched.declared.name} in float64 would take too long`, {
      help: "leave sizes open, or fix smaller ones with --dims or --set",
    });
  return { ...usual, trials: [...usual.trials, ...(await trialsOfPasses(watched, usual, options.seed, reference))] };
}

/** Random tensors for all parameters, those included that training begins at zero or one. */
function everyWeightRandom(graph: Graph, seed: number): WeightStore {
  const params = paramsOf(graph).map(({ name, dtype, dims }) => ({ name, dtype, dims }));
  return randomWeights(params, seed);
}

async function checkStages(
  { declared, steps, weights, arena }: Watched,
  file: (() => Uint8Array) | undefined,
  { feeds, ofPasses, ofRuntime }: Trial,
  reference: Reference,
): Promise<readonly StageCheck[]> {
  const expected = await reference.outputs(declared, feeds);
  const stages: StageCheck[] = [];
  let before = expected;
  for (const { pass, index, before: from, after, error } of ofPasses ? steps : []) {
    if (from === after) continue;
    const outputs = after ? await attempt(() => reference.outputs(after, feeds)) : { error: error! };
    stages.push(check(pass.name, index, declared, before, outputs, toleranceOf(pass, reference)));
    if ("error" in outputs) return stages;
    before = outputs.tensors;
  }
  if (!file || !ofRuntime) return stages;
  const judge = (stage: string, outcome: Outcome) =>
    check(stage, null, declared, expected, outcome, roundingTolerance(declared));
  const ofFile: StageCheck[] = [];
  for (const level of levels)
    ofFile.push(judge(`ONNX Runtime, ${level}`, await attempt(() => runFile(file, level, feeds))));
  if (ofRuntime === "asDeclared" && !ofFile.every(({ equal }) => equal)) {
    const naive = await attempt(() => inRuntime(weights, arena).outputs(declared, feeds));
    if (!judge("as declared", naive).equal) return stages;
  }
  return [...stages, ...ofFile];
}

type Outcome = { readonly tensors: Tensors } | { readonly error: string };

async function attempt(run: () => Promise<Tensors>): Promise<Outcome> {
  try {
    return { tensors: await run() };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

/** The bytes of the finished file; throws again what writing it has thrown. */
function fileOf(compiled: Compiled): () => Uint8Array {
  let bytes: Uint8Array | undefined;
  return () => (bytes ??= modelBytes(unrounded(compiled.onnx()) ?? compiled.onnx()));
}

async function runFile(file: () => Uint8Array, level: OptimizationLevel, feeds: Tensors): Promise<Tensors> {
  const session = await openSession(file(), { level });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

function check(
  stage: string,
  index: number | null,
  graph: Graph,
  expected: Tensors,
  actual: Outcome,
  tolerance?: Tolerance,
): StageCheck {
  const failed = { maxAbsError: Number.NaN, maxRelError: Number.NaN, maxUlpError: Number.NaN, equal: false };
  if ("error" in actual) return { stage, index, ...failed, error: actual.error };
  const { maxAbsError, maxRelError, equal } = compareOutputs(expected, actual.tensors, tolerance);
  const ulps = graph.outputs.map(({ name, value }) =>
    ulpError(toFloat64(expected.get(name)!), toFloat64(actual.tensors.get(name)!), value.type.dtype),
  );
  const maxUlpError = Number.isNaN(maxAbsError) ? Number.NaN : worst(ulps);
  return { stage, index, maxAbsError, maxRelError, maxUlpError, equal };
}

const worst = (errors: readonly number[]): number =>
  errors.reduce((x, y) => (Number.isNaN(x) ? x : y > x || Number.isNaN(y) ? y : x), 0);

type Checked = readonly { readonly trial: Trial; readonly stages: readonly StageCheck[] }[];

/** One run per set of sizes: of its trials, the largest errors. */
function merged(checked: Checked, frozen: boolean): readonly VerifyRun[] {
  const runs = new Map<Sizes, StageCheck[]>();
  for (const { trial, stages } of checked) {
    const run = runs.get(trial.dims) ?? [];
    runs.set(trial.dims, run);
    for (const stage of stages) {
      const at = run.findIndex((one) => one.stage === stage.stage && one.index === stage.index);
      if (at < 0) run.push(stage);
      else run[at] = worse(run[at]!, stage);
    }
  }
  return Array.from(runs, ([dims, stages]) => ({ dims: Object.fromEntries(dims), frozen, stages }));
}

const worse = (p: StageCheck, q: StageCheck): StageCheck => ({
  ...p,
  ...(q.error !== undefined && { error: q.error }),
  maxAbsError: worst([p.maxAbsError, q.maxAbsError]),
  maxRelError: worst([p.maxRelError, q.maxRelError]),
  maxUlpError: worst([p.maxUlpError, q.maxUlpError]),
  equal: p.equal && q.equal,
});

/** The earliest stage that is wrong in any trial, with the first trial that shows it. */
function firstGuilty(checked: Checked, wanted?: string) {
  const wrong = checked.flatMap(({ trial, stages }) => {
    const stage = stages.find(({ stage, equal }) => !equal && (wanted === undefined || stage === wanted));
    return stage ? [{ trial, stage: stage.stage, index: stage.index }] : [];
  });
  const place = ({ index }: { readonly index: number | null }) => index ?? Number.POSITIVE_INFINITY;
  return wrong.toSorted((p, q) => (place(p) === place(q) ? 0 : place(p) - place(q))).at(0);
}

async function blameStep(step: Step, { feeds }: Trial, reference: Reference): Promise<Blame> {
  const { outputs } = reference;
  const tolerance = toleranceOf(step.pass, reference);
  const expected = await outputs(step.before, feeds);
  return blame(
    step.pass,
    step.before,
    step.cx,
    async (graph) => compareOutputs(expected, await outputs(graph, feeds), tolerance).equal,
  );
}
