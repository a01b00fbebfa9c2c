import { heatPng } from "../../src/backends/report/heat-picture.ts";
import { maskPng } from "../../src/backends/report/mask-picture.ts";
import { factsLine, structureSummary } from "../../src/backends/report/mask-words.ts";
import type { Declared } from "../../src/compile.ts";
import { everything } from "../../src/ir/attend.ts";
import { evaluate } from "../../src/ir/dim.ts";
import { maskFacts } from "../../src/ir/index-analysis/facts.ts";
import { blockStructure } from "../../src/ir/index-analysis/structure.ts";
import { indexEvaluator } from "../../src/ir/index-expr/evaluate.ts";
import { showIndex } from "../../src/ir/index-expr/show.ts";
import type { IndexFormula } from "../../src/ir/index-expr/types.ts";
import type { Drawn } from "./entry.ts";
import { cells, positionOf, tableValues } from "./table-values.ts";

type Sizes = ReadonlyMap<string, number>;
type Counts = Readonly<Record<"B" | "H" | "Q" | "K", number>>;

/**
 * The first mask function of a model, for the first batch entry and head: its blocks, or where it depends on tensors,
 * single pairs in a run with random weights and inputs. Undefined without one, or where it hides nothing.
 */
export function maskPicture(name: string, declared: Declared, sizes: Sizes): Drawn | undefined {
  const first = declared.masks?.find(({ formula }) => formula.expr !== everything);
  if (!first) return undefined;
  const { formula, lengths } = first;
  const [B, H, Q, K] = [lengths.B, lengths.H, lengths.Q, lengths.K].map((length) => evaluate(length, sizes));
  const counts: Counts = { B: B!, H: H!, Q: Q!, K: K! };
  const drawn =
    maskFacts(formula).dataTables.length > 0 ? points(declared, formula, counts, sizes) : blocks(formula, counts);
  return { file: `${name}.mask.png`, formula: showIndex(formula), ...drawn };
}

function blocks(formula: IndexFormula, counts: Counts): Pick<Drawn, "summary" | "bytes"> {
  const block = Math.max(1, Math.ceil(Math.max(counts.Q, counts.K) / cells));
  const structure = blockStructure(formula, counts, block, { b: [0, 0], h: [0, 0] });
  const known = factsLine(maskFacts(formula, counts), counts);
  return { summary: `${structureSummary(structure)}. Known of it: ${known}`, bytes: maskPng(structure) };
}

function points(declared: Declared, formula: IndexFormula, counts: Counts, sizes: Sizes) {
  const sees = indexEvaluator(formula, tableValues(declared, formula.tables, sizes));
  const [width, height] = [Math.min(cells, counts.K), Math.min(cells, counts.Q)];
  // Less than zero is the blue of full blocks.
  const data = Float64Array.from({ length: width * height }, (_, i) => {
    const [q, k] = [positionOf(Math.floor(i / width), height, counts.Q), positionOf(i % width, width, counts.K)];
    return sees({ b: 0, h: 0, q, k, lengths: counts }) ? -1 : Number.NaN;
  });
  const seen = (100 * data.filter((x) => x === -1).length) / data.length;
  const summary = `${counts.Q} queries × ${counts.K} keys, as random inputs give it: ${seen.toPrecision(3)} % of ${data.length} pairs attend`;
  return { summary, bytes: heatPng({ width, height, data }) };
}
