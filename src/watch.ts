import { type Compiled, type CompileOptions, compile, type Declared } from "./compile.ts";
import type { Arena } from "./ir/arena.ts";
import type { Graph } from "./ir/graph.ts";
import type { Instrument } from "./passes/instruments.ts";
import type { Pass, PassContext, WeightReader } from "./passes/pass.ts";

/** A pass that ran, or broke off. */
export interface Step {
  readonly pass: Pass;
  readonly index: number;
  readonly cx: PassContext;
  readonly before: Graph;
  readonly after?: Graph;
  /** Rules. */
  readonly fired: readonly string[];
  readonly error?: string;
}

export interface Watched {
  readonly declared: Graph;
  readonly arena: Arena;
  readonly steps: readonly Step[];
  readonly weights: WeightReader;
  readonly target: string;
  /** Undefined where a pass broke off. */
  readonly compiled?: Compiled;
}

/** Compiles while noting every pass. What fails before the first pass is thrown on. */
export async function watch(built: Declared, options: CompileOptions): Promise<Watched> {
  const steps: Step[] = [];
  let open: Omit<Step, "after"> | undefined;
  const instrument: Instrument = {
    before(pass, before, cx) {
      open = { pass, index: steps.length, cx, before, fired: [] };
    },
    after({ after, tally }) {
      steps.push({ ...open!, after, fired: [...tally.fired.keys()] });
    },
  };
  try {
    const compiled = await compile(built, { ...options, instruments: [...(options.instruments ?? []), instrument] });
    return {
      declared: compiled.declared,
      arena: built.arena,
      steps,
      weights: compiled.weights,
      target: compiled.target.name,
      compiled,
    };
  } catch (error) {
    if (!open) throw error;
    const { cx } = open;
    const broken = { ...open, error: messageOf(error) };
    const declared = (steps[0] ?? broken).before;
    return { declared, arena: built.arena, steps: [...steps, broken], weights: cx.weights!, target: cx.target.name };
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
