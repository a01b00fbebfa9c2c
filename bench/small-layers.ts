import type { Measurement } from "./measurement.ts";
import { modelFile, threeWay, threeWayColumns } from "./three-way.ts";

const widths = [64, 128, 256] as const;
const lengths = [16, 32, 64] as const;

/** Where products are small, the nodes around them cost as much as they do: fusing pays here or nowhere. */
export const smallLayers: Measurement = {
  name: "small-layers",
  doc: "One encoder layer of 4 heads, batch 1, small widths and lengths.",
  async run(report) {
    const model = await modelFile("models/encoder.ts");
    const cases = widths
      .filter((d) => !report.quick || d === 64)
      .flatMap((d) =>
        lengths.map((seq) => ({
          name: `d ${d}, seq ${seq}`,
          model,
          settings: { layers: 1, d, heads: 4, ffn: 4 * d },
          dims: { batch: 1, seq },
        })),
      );
    report.table({ title: "encoder layer", columns: threeWayColumns, rows: await threeWay(cases, report) });
  },
};
