import type { Measurement } from "./measurement.ts";
import { type Case, modelFile, threeWay, threeWayColumns } from "./three-way.ts";

const variants = [
  "causal-linear",
  "linear-transformer",
  "performer",
  "retnet",
  "gated-linear-attention",
  "delta-rule",
  "gated-delta-rule",
] as const;

/** Attention without a softmax: products of three, and chunks with a state between them, against what was declared. */
export const linear: Measurement = {
  name: "linear",
  doc: "Linear and recurrent variants, 8 heads of 64, batch 1, below and above the lengths at which chunks begin.",
  async run(report) {
    const cases: Case[] = [];
    for (const name of report.quick ? variants.slice(0, 1) : variants)
      for (const seq of report.quick ? [64, 1024] : [16, 128, 256, 1024, 4096])
        cases.push({
          name: `${name}, seq ${seq}`,
          model: await modelFile(`models/variants/${name}.ts`),
          dims: { batch: 1, seq },
        });
    report.table({ title: "linear attention", columns: threeWayColumns, rows: await threeWay(cases, report) });
  },
};
