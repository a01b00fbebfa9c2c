import type { Blame } from "./bisect.ts";

export interface StageCheck {
  /** A pass, or the runtime at an optimisation level. */
  readonly stage: string;
  /** Place of the pass in the pipeline, from 0; null for the runtime. */
  readonly index: number | null;
  /** Of a pass: its graph against the graph before it. Of the runtime: against the graph as declared. NaN where it failed. */
  readonly maxAbsError: number;
  readonly maxRelError: number;
  /** In units in the last place of each output's own element type: see `maxUlpError`. */
  readonly maxUlpError: number;
  readonly equal: boolean;
  /** What was thrown, where something was. */
  readonly error?: string;
}

export interface Guilty extends Blame {
  readonly stage: string;
  readonly index: number | null;
  /** Sizes that show it. */
  readonly dims: Readonly<Record<string, number>>;
}

export interface VerifyRun {
  readonly dims: Readonly<Record<string, number>>;
  /** Whether the sizes were frozen into the graph before the passes ran, or left open. */
  readonly frozen: boolean;
  readonly stages: readonly StageCheck[];
}

export interface VerifyReport {
  readonly model: string;
  readonly target: string;
  readonly runs: readonly VerifyRun[];
  /** Sizes left out: the reference would take too long, or the graph as declared refuses them. */
  readonly skipped: readonly Readonly<Record<string, number>>[];
  /** The first stage that changes results. */
  readonly guilty?: Guilty;
}
