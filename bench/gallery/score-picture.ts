import { type HeatCells, heatPng, rangeOf } from "../../src/backends/report/heat-picture.ts";
import { lineChart } from "../../src/backends/report/line-chart.ts";
import type { Declared } from "../../src/compile.ts";
import { attrsOf } from "../../src/ir/arena.ts";
import type { ScoreProgram } from "../../src/ir/attend.ts";
import { evaluate } from "../../src/ir/dim.ts";
import { nodesOf, type Value } from "../../src/ir/graph.ts";
import { type IndexPoint, indexEvaluator, type TableValues } from "../../src/ir/index-expr/evaluate.ts";
import { showIndex } from "../../src/ir/index-expr/show.ts";
import { type IndexExpr, partsInOrder, score as theScore } from "../../src/ir/index-expr/types.ts";
import { scoreProgram } from "../../src/ir/ops/attention.ts";
import type { Drawn } from "./entry.ts";
import { cells, positionOf, tableValues } from "./table-values.ts";

type Sizes = ReadonlyMap<string, number>;

/**
 * The first score function of a model: over queries and keys where it depends on them, otherwise as a curve over the
 * score. Tables that are tensors have the values of a first run with random weights and inputs. Undefined without one.
 */
export function scorePicture(name: string, declared: Declared, sizes: Sizes): Drawn | undefined {
  for (const node of nodesOf(declared.graph)) {
    if (node.op !== "attention") continue;
    const program = scoreProgram(node.operands as [Value, Value, Value, ...Value[]], attrsOf(node, "attention"));
    const expr = program.formulas.score;
    if (expr === theScore()) continue;
    const formula = showIndex({ expr, tables: program.tables });
    const values = tableValues(declared, program.tables, sizes);
    const drawn = dependsOn(expr, ["q", "k"]) ? heat(program, values, sizes) : curve(program, formula, values, sizes);
    return { file: `${name}.score.${drawn.ending}`, formula, summary: drawn.summary, bytes: drawn.bytes };
  }
  return undefined;
}

const dependsOn = (expr: IndexExpr, names: readonly string[]) =>
  partsInOrder(expr).some((part) => part.kind === "index" && names.includes(part.name));

type Picture = Pick<Drawn, "summary" | "bytes"> & { readonly ending: "png" | "svg" };

function heat(program: ScoreProgram, values: TableValues, sizes: Sizes): Picture {
  const { formulas, tables, causal } = program;
  const lengths = lengthsOf(program, sizes);
  const [scored, masked] = [formulas.score, formulas.mask].map((expr) => indexEvaluator({ expr, tables }, values));
  const [width, height] = [Math.min(cells, lengths.K), Math.min(cells, lengths.Q)];
  const sample = (s: number): HeatCells => {
    const data = new Float64Array(width * height);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const point: IndexPoint = {
          b: 0,
          h: 0,
          q: positionOf(y, height, lengths.Q),
          k: positionOf(x, width, lengths.K),
          s,
          lengths,
        };
        const seen = masked!(point) !== 0 && (!causal || point.k <= point.q);
        data[y * width + x] = seen ? scored!(point) : Number.NaN;
      }
    return { width, height, data };
  };
  const [zero, one] = [sample(0), sample(1)];
  const additive = zero.data.every((x, i) => !Number.isFinite(x) || Math.abs(one.data[i]! - x - 1) < 1e-9);
  const drawn = additive ? zero : one;
  const [least, greatest] = (rangeOf(drawn) ?? [0, 0]).map((x) => Number(x.toPrecision(3))) as [number, number];
  const ends = `from ${least} (${least < 0 ? "blue" : "white"}) to ${greatest} (${greatest > 0 ? "brown" : "white"})`;
  const what = additive ? "what is added to the score" : "the score in place of 1";
  const summary = `${what}, ${lengths.Q} queries × ${lengths.K} keys: ${ends}`;
  return { ending: "png", summary, bytes: heatPng(drawn) };
}

function curve(program: ScoreProgram, formula: string, values: TableValues, sizes: Sizes): Picture {
  const scored = indexEvaluator({ expr: program.formulas.score, tables: program.tables }, values);
  const lengths = lengthsOf(program, sizes);
  const points = Array.from({ length: 121 }, (_, i) => {
    const x = i - 60;
    return { x, y: scored({ b: 0, h: 0, q: 0, k: 0, s: x, lengths }) };
  }).filter(({ y }) => Number.isFinite(y));
  const [first, last] = [points[0]!, points.at(-1)!];
  const summary = `the score over s from ${first.x} to ${last.x}: ${first.y.toPrecision(3)} to ${last.y.toPrecision(3)}`;
  const show = (y: number) => String(Number(y.toPrecision(3)));
  const svg = lineChart({
    title: formula.slice(0, 80),
    description: summary,
    x: "s",
    axes: "linear",
    show,
    series: [{ name: "score", points }],
  });
  return { ending: "svg", summary, bytes: new TextEncoder().encode(svg) };
}

function lengthsOf({ lengths: { B, H, Q, K } }: ScoreProgram, sizes: Sizes) {
  return { B: evaluate(B, sizes), H: evaluate(H, sizes), Q: evaluate(Q, sizes), K: evaluate(K, sizes) };
}
