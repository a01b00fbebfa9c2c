import type { Graph } from "../ir/graph.ts";
import type { Pass, PassContext, Tally } from "./pass.ts";

/** One pass as it ran. */
export interface PassStep {
  readonly pass: Pass;
  /** Position in the pipeline: one pass may run several times. */
  readonly index: number;
  readonly before: Graph;
  readonly after: Graph;
  readonly tally: Tally;
  readonly milliseconds: number;
}

/** Watches a pipeline without taking part: verification, printing, timing. May throw to stop it. */
export interface Instrument {
  before?(pass: Pass, graph: Graph, cx: PassContext): void | Promise<void>;
  after?(step: PassStep, cx: PassContext): void | Promise<void>;
  failed?(pass: Pass, graph: Graph, error: unknown): void;
}

/** Runs `verify` on every graph a pass made anew. */
export const verifyEach = (verify: (graph: Graph) => void): Instrument => ({
  after({ before, after }) {
    if (before !== after) verify(after);
  },
});

/** Hands over the graph after the passes named; `all` stands for every pass. */
export const printAfter = (names: readonly string[], print: (step: PassStep) => void): Instrument => ({
  after(step) {
    if (names.includes("all") || names.includes(step.pass.name)) print(step);
  },
});
