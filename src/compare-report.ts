import type { Latency } from "./backends/ort/measure.ts";
import type { OptimizationLevel } from "./backends/ort/session.ts";

export interface VariantReport {
  readonly name: string;
  /** How far the runtime optimises it: `naive` not at all, but where a file does not load so. */
  readonly level: OptimizationLevel;
  /** Nodes that run: after the runtime's own optimiser where that is part of the variant. */
  readonly nodes: number;
  /** How many nodes each execution provider ran. */
  readonly placement: Readonly<Record<string, number>>;
  /** Elements of all trained tensors the file holds. */
  readonly params: number;
  /** Floating-point operations of one run; null where the graph is not ours. */
  readonly flops: number | null;
  /** Bytes read and written by all operations of one run; null where the graph is not ours. */
  readonly bytes: number | null;
  /** Growth of the process while it runs; null where it was not measured. */
  readonly peakBytes: number | null;
  readonly latencyMs: Latency;
  /** Against the float64 reference. */
  readonly maxAbsError: number;
  readonly maxRelError: number;
  readonly equal: boolean;
  /** Equal only without rounding activations to 8 bits: last bits ahead of such a rounding are whole steps behind it. */
  readonly unrounded: boolean;
}

export interface RunReport {
  readonly dims: Readonly<Record<string, number>>;
  /** What errors are measured against. */
  readonly reference: "float64 reference" | "naive graph in float64" | "naive graph in float32" | "file as it is";
  /** The padding mask where a file, which has no zeros at padding, is among the variants: all are compared at real positions only. */
  readonly realPositionsOf: string | null;
  /** Why the runtime does not run the file as it is: then the graph that was read is what `naive` and `ort` run. */
  readonly fileRefused: string | null;
  readonly variants: readonly VariantReport[];
}

export interface PassReportJson {
  readonly name: string;
  readonly rules: {
    readonly fired: Readonly<Record<string, number>>;
    readonly refused: Readonly<Record<string, Readonly<Record<string, number>>>>;
  };
  readonly flops: { readonly before: string; readonly after: string };
  readonly nodes: { readonly before: number; readonly after: number };
  readonly notes: readonly string[];
  readonly ms: number;
}

/** How something grows with a length: with which power of it. */
export interface GrowthOrder {
  /** Null where nothing can be said; `note` says why. */
  readonly order: number | null;
  /** The degree of the cost formula, or a fit through the logarithms of what was measured at the larger lengths. */
  readonly by: "formula" | "fit" | null;
  readonly formula: string | null;
  /** Lengths it is said of. */
  readonly from: number;
  readonly to: number;
  /** How many lengths of the sweep lie there. */
  readonly points: number;
  /** The least and the greatest power between neighbouring lengths; null where it is not a fit. */
  readonly spread: readonly [least: number, greatest: number] | null;
  readonly note: string | null;
}

export interface VariantGrowth {
  readonly name: string;
  readonly flops: GrowthOrder;
  readonly bytes: GrowthOrder;
  readonly peakBytes: GrowthOrder;
  readonly latencyMs: GrowthOrder;
}

/** One sweep over one dimension. */
export interface GrowthReport {
  readonly symbol: string;
  /** Sizes of the other dimensions. */
  readonly dims: Readonly<Record<string, number>>;
  /** Sizes of `symbol`, growing. */
  readonly lengths: readonly number[];
  readonly variants: readonly VariantGrowth[];
}

/** Where one variant begins to be faster than another. */
export interface Crossing {
  readonly faster: string;
  /** Neighbouring lengths before and after, at which the times differ by more than their noise. */
  readonly between: readonly [before: number, after: number];
  /** Where straight lines through the logarithms meet, to two digits. */
  readonly about: number;
}

export interface CrossoverReport {
  readonly symbol: string;
  readonly dims: Readonly<Record<string, number>>;
  readonly variants: readonly [first: string, second: string];
  readonly latency: {
    readonly crossings: readonly Crossing[];
    /** The variant that is faster wherever there is a difference, where there is one; never an unequal one. */
    readonly throughout: string | null;
    /** At how many lengths times were compared, and at how many of these they differ by more than their noise. */
    readonly lengths: number;
    readonly apart: number;
    /** Why times were not compared. */
    readonly note: string | null;
  };
  /** From the cost formulas at the longest length; null where a graph is not ours. */
  readonly flops: {
    /** The variant with fewer operations where `condition` holds, or at every length; null where formulas are equal. */
    readonly fewer: string | null;
    /** As `seq > 64`; null for every length. */
    readonly condition: string | null;
  } | null;
}

/** What a declared value became, and what it is in another file. */
export interface DiffRow {
  readonly value: string;
  readonly op: string;
  /** The operation that stands for it in the optimised graph; null where none does. */
  readonly became: string | null;
  /** Passes that replaced it, in order. */
  readonly by: readonly string[];
  /** Of a value that is gone: the next declared value after it that its work went into. */
  readonly into: string | null;
  readonly tensor: string | null;
  readonly tensorOp: string | null;
  readonly pairedBy: "name" | "suffix" | "numbers" | null;
  /** Largest difference over the largest number, for the same inputs; null where it was not or cannot be computed. */
  readonly maxRelError: number | null;
}

/** The optimised graph beside another file. */
export interface DiffReport {
  readonly against: string;
  readonly values: readonly DiffRow[];
  /** Tensors of the file that are paired with none of ours. */
  readonly only: readonly { readonly tensor: string; readonly op: string }[];
  readonly notes: readonly string[];
}

export interface CompareReport {
  readonly model: string;
  readonly target: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly runs: readonly RunReport[];
  readonly passes: readonly PassReportJson[];
  /** How each variant grows with each dimension that was swept; empty without a sweep. */
  readonly growth: readonly GrowthReport[];
  /** Where variants overtake one another; empty without a sweep. */
  readonly crossovers: readonly CrossoverReport[];
  /** Null without `--against`. Of the last run. */
  readonly diff: DiffReport | null;
}
