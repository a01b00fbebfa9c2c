import type { Measurement } from "./measurement.ts";
import { type Case, modelFile, threeWay, threeWayColumns } from "./three-way.ts";

/** Work that the order of contraction saves, in declarations that say nothing about it. */
export const contractions: Measurement = {
  name: "contractions",
  doc: "Attention written with einsum: linear attention in the order as declared, softmax attention, three operands at once.",
  async run(report) {
    const linear = await modelFile("models/linear-attention.ts");
    const cases: readonly Case[] = [
      ...(report.quick ? [512] : [32, 64, 128, 512, 1024, 4096]).map((seq) => ({
        name: `linear attention, d 64, seq ${seq}`,
        model: linear,
        dims: { seq },
      })),
      {
        name: "softmax attention by einsum, 8 heads of 64, seq 1024",
        model: await modelFile("bench/models/einsum-attention.ts"),
        dims: { batch: 1, seq: 1024 },
      },
      {
        name: "linear attention by one einsum, 8 heads of 64, seq 1024",
        model: await modelFile("bench/models/three-operands.ts"),
        dims: { batch: 1, seq: 1024 },
      },
    ];
    report.table({ title: "contractions", columns: threeWayColumns, rows: await threeWay(cases, report) });
  },
};
