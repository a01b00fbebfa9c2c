import { escaped } from "../backends/report/escape.ts";
import { type ChartSeries, lineChart } from "../backends/report/line-chart.ts";
import { type HtmlCell, htmlPage, htmlTable } from "../backends/report/page.ts";
import type {
  CompareReport,
  CrossoverReport,
  DiffReport,
  GrowthReport,
  PassReportJson,
  RunReport,
  VariantReport,
} from "../compare-report.ts";
import { diffColumns, diffRest, diffRows } from "./diff.ts";
import { describeCrossover, growthCells, growthColumns, growthNotes, showSweep } from "./growth.ts";
import { runColumns, runRows, runTitle, showMachine } from "./run-table.ts";
import { showBytes, showCount, showMs } from "./table.ts";

/** A comparison as one HTML page that needs nothing else: verdict, charts over what was swept, tables, passes. */
export function comparePage(report: CompareReport): string {
  const { model, target, machine } = report;
  const body = [
    `<h1>${escaped(model)}</h1>`,
    `<p>for ${escaped(target)}, on ${escaped(showMachine(report))}, Node ${machine.node}, ONNX Runtime ${machine.onnxruntime}, ${escaped(String(machine.ep))}</p>`,
    ...report.growth
      .toSorted((a, b) => b.lengths.length - a.lengths.length)
      .map((sweep) => sweepSection(report, sweep)),
    runsSection(report.runs),
    passesSection(report.passes),
    ...(report.diff ? [diffSection(report.diff)] : []),
  ];
  return htmlPage(`${model}: naive against optimised`, body.join("\n"));
}

function sweepSection(report: CompareReport, sweep: GrowthReport): string {
  const crossovers = report.crossovers.filter((one) => isOf(one, sweep));
  const rows = sweep.variants.map((variant) => [variant.name, ...growthCells(sweep.symbol, variant)]);
  const notes = growthNotes(sweep).map((note) => `<li>${escaped(note)}</li>`);
  // Two lengths say little: of several sweeps, what they show is there for who opens it.
  const [open, close] =
    report.growth.length > 1 && sweep.lengths.length < 3
      ? ["<details><summary>two lengths</summary>", "</details>"]
      : ["", ""];
  return `<section><h2>Over ${escaped(showSweep(sweep, sweep.lengths))}</h2>${open}
<div class="charts">${chartsOf(report, sweep, crossovers).join("\n")}</div>
${htmlTable("growth: from formulas, and with ~ as fitted to what was measured", ["variant", ...growthColumns], rows)}
${notes.length > 0 ? `<ul class="faint">${notes.join("")}</ul>` : ""}
<h3>Crossovers</h3>
<ul>${crossovers.map((one) => `<li>${escaped(describeCrossover(one))}</li>`).join("\n")}</ul>${close}</section>`;
}

const isOf = (one: CrossoverReport, { symbol, dims }: GrowthReport) =>
  one.symbol === symbol && Object.entries(dims).every(([name, size]) => one.dims[name] === size);

function chartsOf({ runs }: CompareReport, sweep: GrowthReport, crossovers: readonly CrossoverReport[]) {
  const along = sweep.lengths.map((length) => ({
    length,
    run: runs.findLast(
      ({ dims }) =>
        dims[sweep.symbol] === length && Object.entries(sweep.dims).every(([name, size]) => dims[name] === size),
    )!,
  }));
  const seriesBy = (read: (variant: VariantReport) => number | null): readonly ChartSeries[] =>
    sweep.variants
      .map(({ name }) => ({
        name,
        points: along.flatMap(({ length, run }) => {
          const variant = run.variants.find((one) => one.name === name);
          const y = variant?.equal ? read(variant) : null;
          return y !== null && y > 0 ? [{ x: length, y }] : [];
        }),
      }))
      .filter(({ points }) => points.length > 0);
  const marks = crossovers.flatMap(({ latency }) =>
    latency.crossings.map(({ about, faster }) => ({ x: about, label: `${faster} from ≈ ${about}` })),
  );
  const charts = [
    { title: "Latency", series: seriesBy(({ latencyMs }) => latencyMs.median), show: showMs, marks },
    { title: "FLOPs", series: seriesBy(({ flops }) => flops), show: showCount },
    { title: "Peak memory", series: seriesBy(({ peakBytes }) => peakBytes), show: showBytes, base: 2 },
  ] as const;
  return charts
    .filter(({ series }) => series.length > 0)
    .map((chart) => {
      const described = chart.series.map(({ name, points }) => {
        const ends = points.length > 1 ? [points[0]!, points.at(-1)!] : points;
        return `${name}: ${ends.map(({ x, y }) => `${chart.show(y)} at ${x}`).join(", ")}`;
      });
      return `<figure>${lineChart({ ...chart, x: sweep.symbol, description: described.join("; ") })}</figure>`;
    });
}

function runsSection(runs: readonly RunReport[]): string {
  const tables = runs.map((run) => {
    const rows = runRows(run).map((row) =>
      row.map((text, i): HtmlCell => (i === row.length - 1 && text !== "yes" ? { html: text, class: "wrong" } : text)),
    );
    return htmlTable(runTitle(run), ["variant", ...runColumns], rows);
  });
  return `<section><h2>Runs</h2>
<p class="faint">Times are medians over rounds in which the variants took turns. A ratio is shown only where both outputs agree with the reference.</p>
${runs.length > 3 ? `<details><summary>${runs.length} runs</summary>${tables.join("\n")}</details>` : tables.join("\n")}</section>`;
}

function passesSection(passes: readonly PassReportJson[]): string {
  const list = (items: readonly string[]) => items.map(escaped).join("<br>");
  const rows = passes.map(({ name, rules, flops, nodes, notes, ms }): readonly HtmlCell[] => {
    const fired = Object.entries(rules.fired).map(([rule, count]) => `${rule} ×${count}`);
    const refused = Object.entries(rules.refused).flatMap(([rule, reasons]) =>
      Object.entries(reasons).map(([reason, count]) => `${rule} ×${count}: ${reason}`),
    );
    const cost =
      flops.before === flops.after
        ? ""
        : `<code>${escaped(flops.before)}</code><br>→ <code>${escaped(flops.after)}</code>`;
    const told = notes.length > 0 ? `<details><summary>notes</summary>${list(notes)}</details>` : "";
    const hidden =
      refused.length > 0 ? `<details><summary>${refused.length} refused</summary>${list(refused)}</details>` : "";
    return [
      name,
      { html: `${list(fired)}${hidden}`, class: "prose" },
      nodes.before === nodes.after ? String(nodes.after) : `${nodes.before} → ${nodes.after}`,
      { html: `${cost}${told}`, class: "prose" },
      showMs(ms),
    ];
  });
  return `<section><h2>Passes</h2>
${htmlTable("in the order they ran, for the sizes of the last run", ["pass", "rules", "nodes", "FLOPs", "took"], rows)}</section>`;
}

function diffSection(diff: DiffReport): string {
  const rest = diffRest(diff);
  const notes = [...(rest === "" ? [] : [`only there: ${rest}`]), ...diff.notes];
  return `<section><h2>What became what</h2>
${htmlTable(`declared values, in the optimised graph and in ${diff.against}`, diffColumns, diffRows(diff))}
${notes.map((note) => `<p class="faint">${escaped(note)}</p>`).join("\n")}</section>`;
}
