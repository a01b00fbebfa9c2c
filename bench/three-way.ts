import { fileURLToPath } from "node:url";
import { speedup } from "../src/backends/ort/compare-outputs.ts";
import type { WeightStore } from "../src/backends/weights/store.ts";
import { compare } from "../src/compare.ts";
import type { Buildable } from "../src/compile.ts";
import { loadModel } from "../src/dsl/load.ts";
import type { Model, Settings } from "../src/dsl/model.ts";
import { type Cell, type Column, column, type Report } from "./measurement.ts";

/** One model at one set of sizes. */
export interface Case {
  readonly name: string;
  readonly model: Buildable;
  readonly settings?: Settings;
  readonly dims: Readonly<Record<string, number>>;
  readonly weights?: WeightStore;
}

/** A model file of the checkout. Measurements run compiled, from `dist/bench`. */
export const modelFile = (path: string): Promise<Model> =>
  loadModel(fileURLToPath(new URL(`../../${path}`, import.meta.url)));

export const threeWayColumns: readonly Column[] = [
  column("case", "text"),
  column("naive", "ms"),
  column("ort", "ms"),
  column("optimised", "ms"),
  column("naive ÷ optimised", "ratio"),
  column("ort ÷ optimised", "ratio"),
  column("FLOPs naive ÷ optimised", "ratio"),
  column("nodes naive → optimised", "text"),
  column("largest relative error", "error"),
  column("equal", "text"),
];

/**
 * The naive graph, the same under the runtime's own optimiser, and ours, timed in turns in one process as `qkv compare`
 * does. A ratio is null where outputs differ from the float64 reference.
 */
export async function threeWay(cases: readonly Case[], report: Report): Promise<readonly (readonly Cell[])[]> {
  const rows: Cell[][] = [];
  for (const [i, { name, model, dims, settings, weights }] of cases.entries()) {
    report.progress(`${i + 1} of ${cases.length}: ${name}`);
    const { runs } = await compare(model, {
      runs: [new Map(Object.entries(dims))],
      memory: false,
      ...(settings && { settings }),
      ...(weights && { weights }),
      ...(report.quick && { measure: { rounds: 3, minMs: 30 } }),
    });
    const [naive, ort, optimised] = runs[0]!.variants as [Variant, Variant, Variant];
    const candidate = { median: optimised.latencyMs.median, equal: optimised.equal };
    rows.push([
      name,
      naive.latencyMs.median,
      ort.latencyMs.median,
      optimised.latencyMs.median,
      (naive.equal ? speedup(naive.latencyMs, candidate) : undefined) ?? null,
      (ort.equal ? speedup(ort.latencyMs, candidate) : undefined) ?? null,
      naive.flops! / optimised.flops!,
      `${naive.nodes} → ${optimised.nodes}`,
      optimised.maxRelError,
      naive.equal && ort.equal && optimised.equal ? "yes" : "NO",
    ]);
  }
  return rows;
}

type Variant = Awaited<ReturnType<typeof compare>>["runs"][number]["variants"][number];
