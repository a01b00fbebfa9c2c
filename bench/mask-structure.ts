import { blockStructure } from "../src/ir/index-analysis/structure.ts";
import { catalogue } from "../test/ir/index-analysis/catalogue.ts";
import { type Cell, column, type Measurement } from "./measurement.ts";

/** Rounds of which the fastest counts, as many as there is time for. */
const rounds = 60;
const mostMs = 1000;

/** How long the block structure of every closed-form mask of the catalogue takes, at a million positions. */
export const maskStructures: Measurement = {
  name: "mask-structure",
  doc: "Block structure of the closed-form masks at seq 1,000,000, blocks of 128.",
  run(report) {
    const length = report.quick ? 100_000 : 1_000_000;
    const rows: Cell[][] = [];
    for (const [name, formula] of catalogue(length, 128)) {
      report.progress(name);
      let best = Number.POSITIVE_INFINITY;
      let structure = blockStructure(formula, { Q: length, K: length });
      const until = performance.now() + mostMs;
      for (let round = 0; round < rounds && performance.now() < until; round++) {
        const start = performance.now();
        structure = blockStructure(formula, { Q: length, K: length });
        best = Math.min(best, performance.now() - start);
      }
      rows.push([name, structure.full, structure.partial, structure.bands.length, best]);
    }
    report.table({
      title: `block structure of masks, seq ${length.toLocaleString("en-US")}`,
      columns: [
        column("mask", "text"),
        column("full blocks", "count"),
        column("partial blocks", "count"),
        column("bands of rows", "count"),
        column("time", "ms"),
      ],
      rows,
    });
  },
};
