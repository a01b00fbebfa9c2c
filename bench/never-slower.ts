import { symbolsIn } from "../src/feeds.ts";
import { againstDense } from "./against-dense.ts";
import { variantSources } from "./gallery/variant-sources.ts";
import { type Cell, column, type Measurement } from "./measurement.ts";
import { modelFile } from "./three-way.ts";

/** Two sessions of one graph differ by this much. */
const least = 0.97;

/** Every variant of the catalogue, at lengths at which what pays at others may not. */
export const neverSlower: Measurement = {
  name: "never-slower",
  doc: `Every declaration of models/variants against the dense graph under the runtime's optimiser: never below ${least}×.`,
  async run(report) {
    const rows: Cell[][] = [];
    const [slower, failed]: [string[], string[]] = [[], []];
    const sources = variantSources(new URL("../../models/variants/", import.meta.url));
    for (const [i, { name }] of sources.entries()) {
      const model = await modelFile(`models/variants/${name}.ts`);
      // Tables that end at a length are made for the longest.
      const declared = model.build("longest" in model.defaults ? { longest: 2048 } : {});
      const swept = symbolsIn(declared.graph).filter((symbol) => symbol !== "batch");
      const lengths = swept.length === 0 ? [0] : report.quick ? [64, 128] : [64, 128, 512, 2048];
      const ratios = new Map<number, number | null>();
      for (const length of lengths) {
        report.progress(`${i + 1} of ${sources.length}: ${name} at ${length}`);
        const dims = new Map(swept.map((symbol) => [symbol, length]));
        const once = (rounds: number) => againstDense(declared, dims, {}, { rounds, budgetMs: 20_000 });
        try {
          const { overAll } = await once(report.quick ? 1 : 3);
          // A ratio that is too small may be a mood of the machine: it counts when it is there again.
          const again = overAll !== null && overAll < least && !report.quick ? (await once(9)).overAll : overAll;
          ratios.set(length, again);
          if (again === null) failed.push(`${name} at ${length}: outputs differ`);
          else if (again < least) slower.push(`${name} at ${length}: ${again.toFixed(2)}×`);
        } catch (error) {
          failed.push(`${name} at ${length}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      const at = (length: number) => ratios.get(length) ?? null;
      rows.push([name, at(64), at(128), at(512), at(2048), at(0)]);
    }
    report.table({
      title: "dense under `all` ÷ ours",
      columns: [
        column("variant", "text"),
        ...["64", "128", "512", "2048", "fixed sizes"].map((length) => column(length, "ratio")),
      ],
      rows,
    });
    report.note(slower.length > 0 ? `Slower: ${slower.join("; ")}` : `None is below ${least}×.`);
    if (failed.length > 0) report.note(`Not measured: ${failed.join("; ")}`);
  },
};
