import type { Arena } from "../ir/arena.ts";
import type { SourceLocation } from "../ir/diagnostics.ts";
import type { Graph, Node, Value } from "../ir/graph.ts";
import type { HostTensor } from "../ir/tensor.ts";
import type { Target } from "./target.ts";

/** Trained tensors by parameter name. `read` throws where `has` is false. */
export interface WeightReader {
  has(name: string): boolean;
  read(name: string): HostTensor;
}

/** Computes large constant subgraphs: values in, one tensor each out, in the value's element type. */
export interface ConstantRuntime {
  evaluate(values: readonly Value[], weights: WeightReader | undefined): Promise<readonly HostTensor[]>;
}

export interface PassOptions {
  /** Emit both forms behind `if` where the cheaper one depends on a length. */
  readonly dispatch: boolean;
  /** A folded constant may be this many bytes larger than all it is computed from. */
  readonly foldLimitBytes: number;
  /** Rules not to apply, by name: for ablation. */
  readonly without: ReadonlySet<string>;
  /** Asked before each rewrite of a node; where it answers false the node stays as it is. For bisection. */
  readonly allows: (rule: string, node: Node) => boolean;
}

export const defaultPassOptions: PassOptions = {
  dispatch: false,
  foldLimitBytes: 1 << 20,
  without: new Set(),
  allows: () => true,
};

/** Where something happened, and what else is worth saying about it. */
export interface RuleNote {
  /** What the author calls the value concerned. */
  readonly value?: string;
  readonly location?: SourceLocation;
  /** For refusals: how many nodes of the pattern matched before it was blocked. */
  readonly depth?: number;
  readonly detail?: string;
}

/** What a pass says about itself while it runs. Collected by the pipeline; passes never read it back. */
export interface PassReport {
  fired(rule: string, count?: number, note?: RuleNote): void;
  refused(rule: string, reason: string, note?: RuleNote): void;
  note(text: string): void;
}

export interface PassContext {
  /** Where nodes are made; holds names and locations. */
  readonly arena: Arena;
  readonly target: Target;
  /** Sizes of named dimensions that were given or hinted. */
  readonly dims: ReadonlyMap<string, number>;
  readonly report: PassReport;
  readonly weights?: WeightReader;
  readonly runtime?: ConstantRuntime;
  readonly options: PassOptions;
}

/** One graph to another of the same meaning. Pure: the same object comes back exactly where nothing changed. */
export interface Pass {
  readonly name: string;
  readonly doc: string;
  /** Rows of a softmax that are all minus infinity, and so NaN, may be any numbers after it. */
  readonly clears?: boolean;
  run(graph: Graph, cx: PassContext): Graph | Promise<Graph>;
}

/** A refusal with where it happened. */
export interface Refusal extends RuleNote {
  readonly rule: string;
  readonly reason: string;
}

/** What one pass did: the data of `compare --json` and of `explain`. */
export interface Tally {
  readonly fired: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Deepest first, at most a few per rule. */
  readonly misses: readonly Refusal[];
  readonly notes: readonly string[];
}

const missesPerRule = 8;

/** Collects a report. */
export function tallying(): { readonly report: PassReport; tally(): Tally } {
  const fired = new Map<string, number>();
  const refused = new Map<string, Map<string, number>>();
  const misses = new Map<string, Refusal[]>();
  const notes: string[] = [];
  const report: PassReport = {
    fired: (rule, count = 1) => void fired.set(rule, (fired.get(rule) ?? 0) + count),
    refused(rule, reason, note = {}) {
      const reasons = refused.get(rule) ?? new Map<string, number>();
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      refused.set(rule, reasons);
      const list = misses.get(rule) ?? [];
      list.push({ ...note, rule, reason });
      list.sort((a, b) => (b.depth ?? 0) - (a.depth ?? 0));
      misses.set(rule, list.slice(0, missesPerRule));
    },
    note: (text) => void notes.push(text),
  };
  return { report, tally: () => ({ fired, refused, misses: [...misses.values()].flat(), notes }) };
}
