import { fail, QkvError } from "../ir/diagnostics.ts";
import type { Graph } from "../ir/graph.ts";
import { nearestOf } from "../ir/nearest-name.ts";
import { canonicalise } from "./canonicalise.ts";
import { foldConstants } from "./fold-constants.ts";
import { fuseActivation } from "./fuse-activation.ts";
import { fuseAttention } from "./fuse-attention.ts";
import { fuseNorm } from "./fuse-norm.ts";
import { fusePosition } from "./fuse-position.ts";
import type { Instrument, PassStep } from "./instruments.ts";
import { legalise } from "./legalise.ts";
import { linearise } from "./linearise.ts";
import { mask } from "./mask.ts";
import { type Pass, type PassContext, tallying } from "./pass.ts";
import { project } from "./project.ts";
import { reassociate } from "./reassociate.ts";
import { schedule } from "./schedule.ts";
import { share } from "./share.ts";
import { unpad } from "./unpad.ts";
import { widen } from "./widen.ts";

/** What a pipeline needs; the report is its own, one per pass. */
export type PipelineContext = Omit<PassContext, "report">;

export interface PipelineResult {
  readonly graph: Graph;
  readonly steps: readonly PassStep[];
}

/** Every pass by name. */
export const passes: readonly Pass[] = [
  widen,
  canonicalise,
  foldConstants,
  linearise,
  reassociate,
  fuseAttention,
  mask,
  fuseNorm,
  fusePosition,
  fuseActivation,
  project,
  unpad,
  schedule,
  legalise,
  share,
];

/** What the declared graph must spell out for any ONNX runtime. Run with the target `naive`. */
export const naive: readonly Pass[] = [legalise];

/** Everything. What a target has and prefers, passes read from the context. */
export const optimise: readonly Pass[] = [
  widen,
  canonicalise,
  foldConstants,
  linearise,
  reassociate,
  canonicalise,
  fuseAttention,
  unpad,
  mask,
  project,
  schedule,
  fuseNorm,
  fusePosition,
  fuseActivation,
  legalise,
  canonicalise,
  foldConstants,
  share,
];

/** Passes by name, as the command line takes them. Throws QKV301 for a name there is not. */
export function passesNamed(names: readonly string[]): readonly Pass[] {
  return names.map(
    (name) =>
      passes.find((pass) => pass.name === name) ??
      fail("QKV301", `there is no pass "${name}"`, {
        help: nearestOf(
          name,
          passes.map((pass) => pass.name),
        ),
      }),
  );
}

/** Runs passes in order. What a pass throws comes back with the pass in its notes. */
export async function runPipeline(
  graph: Graph,
  list: readonly Pass[],
  cx: PipelineContext,
  instruments: readonly Instrument[] = [],
): Promise<PipelineResult> {
  const steps: PassStep[] = [];
  let current = graph;
  for (const [index, pass] of list.entries()) {
    for (const instrument of instruments)
      await instrument.before?.(pass, current, { ...cx, report: tallying().report });
    const step = await runPass(pass, index, current, cx, instruments);
    for (const instrument of instruments) await instrument.after?.(step, { ...cx, report: tallying().report });
    steps.push(step);
    current = step.after;
  }
  return { graph: current, steps };
}

async function runPass(
  pass: Pass,
  index: number,
  before: Graph,
  cx: PipelineContext,
  instruments: readonly Instrument[],
): Promise<PassStep> {
  const { report, tally } = tallying();
  const start = performance.now();
  try {
    const after = await pass.run(before, { ...cx, report });
    return { pass, index, before, after, tally: tally(), milliseconds: performance.now() - start };
  } catch (error) {
    for (const instrument of instruments) instrument.failed?.(pass, before, error);
    throw error instanceof QkvError ? inPass(error, pass) : error;
  }
}

const inPass = (error: QkvError, pass: Pass): QkvError =>
  new QkvError(error.code, error.message, {
    ...error.details,
    notes: [...(error.details.notes ?? []), `in the pass ${pass.name}`],
  });
