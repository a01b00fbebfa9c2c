import { speedup } from "../../src/backends/ort/compare-outputs.ts";
import { compare } from "../../src/compare.ts";
import type { VariantReport } from "../../src/compare-report.ts";
import type { Buildable } from "../../src/compile.ts";
import type { Speed } from "./entry.ts";

const atLength = { rounds: 5, budgetMs: 10_000 };
const shortly = { rounds: 1, minMs: 20, warmupMs: 20 };

/** Times of a variant against dense attention, as `qkv compare` takes them. */
export async function speedOf(
  model: Buildable,
  runs: readonly ReadonlyMap<string, number>[],
  quick: boolean,
  onProgress: (what: string) => void,
): Promise<readonly Speed[]> {
  const report = await compare(model, { runs, memory: false, measure: quick ? shortly : atLength, onProgress });
  return report.runs.map(({ dims, variants }) => {
    const [naive, ort, optimised] = variants as readonly VariantReport[] as [
      VariantReport,
      VariantReport,
      VariantReport,
    ];
    const times = (slower: VariantReport) =>
      (slower.equal
        ? speedup(slower.latencyMs, { median: optimised.latencyMs.median, equal: optimised.equal })
        : undefined) ?? null;
    return {
      dims,
      ms: {
        naive: rounded(naive.latencyMs.median),
        ort: rounded(ort.latencyMs.median),
        optimised: rounded(optimised.latencyMs.median),
      },
      times: { naive: nullable(times(naive)), ort: nullable(times(ort)) },
      maxRelError: Number(optimised.maxRelError.toPrecision(2)),
    };
  });
}

const rounded = (x: number) => Number(x.toPrecision(4));
const nullable = (x: number | null) => (x === null ? null : Number(x.toPrecision(3)));
