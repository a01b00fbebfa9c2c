import type { Value } from "../../ir/graph.ts";
import type { Target } from "../target.ts";
import type { Numbers } from "./estimate.ts";
import type { MaskProblem } from "./problem.ts";

/** One way to compute an attention, found to be possible. */
export interface Plan {
  /** Estimated nanoseconds at given lengths. */
  time(numbers: Numbers): number;
  build(): Value;
  /** The shortest length of the queries it is right for, where lengths are open; 1 where not said. */
  readonly least?: number;
  /** Scores are held up where the problem is steep. */
  readonly holds?: boolean;
}

export interface FormContext {
  readonly target: Target;
  /** Lengths the form will run at, where they are given or hinted. */
  readonly numbers: Numbers | undefined;
}

/** A lowering of attention: a plan where it can express the problem, else the reason why it cannot. */
export interface Form {
  readonly name: string;
  readonly formula: string;
  /** Reasons it gives, for documentation. */
  readonly refuses: readonly string[];
  plan(problem: MaskProblem, cx: FormContext): Plan | string;
}
