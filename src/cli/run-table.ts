import type { CompareReport, RunReport, VariantReport } from "../compare-report.ts";
import { showBytes, showCount, showError, showMs } from "./table.ts";

export const runColumns = [
  "nodes",
  "params",
  "FLOPs",
  "bytes",
  "peak",
  "latency",
  "vs naive",
  "vs ort",
  "max error",
  "equal",
] as const;

/** Sizes of a run, and what its errors are measured against. */
export function runTitle({ dims, reference, realPositionsOf }: RunReport): string {
  const sizes = Object.entries(dims).map(([name, size]) => `${name}=${size}`);
  const where = realPositionsOf === null ? "" : `, where ${realPositionsOf} is not 0: a file is not zero at padding`;
  return `${sizes.join(", ") || "fixed sizes"}; errors against the ${reference}${where}`;
}

/** A row per variant: its name, then the columns of `runColumns`. */
export function runRows({ variants }: RunReport): readonly (readonly string[])[] {
  const base = variants.find(({ name }) => name === "naive");
  const ort = variants.find(({ name }) => name === "ort");
  return variants.map((v) => [
    v.name,
    String(v.nodes),
    showCount(v.params),
    v.flops === null ? "-" : showCount(v.flops),
    v.bytes === null ? "-" : showBytes(v.bytes),
    v.peakBytes === null ? "-" : showBytes(v.peakBytes),
    showMs(v.latencyMs.median),
    showRatio(base, v),
    showRatio(ort, v),
    showError(v.maxAbsError),
    v.equal ? (v.unrounded ? "unrounded" : "yes") : "NO",
  ]);
}

/** How many times faster; nothing where either output is wrong. */
function showRatio(reference: VariantReport | undefined, variant: VariantReport): string {
  if (!reference?.equal || !variant.equal || variant.latencyMs.median === 0) return "-";
  return `${(reference.latencyMs.median / variant.latencyMs.median).toFixed(2)}×`;
}

/** The processor, and the threads asked for; where none were, ONNX Runtime takes one for each core it finds to be one. */
export function showMachine({ machine: { cpu, cores, threads } }: CompareReport): string {
  const used = threads === cores ? `${cores} core` : `${threads} thread`;
  return `${cpu}, ${used}${threads === 1 ? "" : "s"}`;
}
