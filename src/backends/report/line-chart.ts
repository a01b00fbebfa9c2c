import { escaped } from "./escape.ts";

export interface ChartSeries {
  readonly name: string;
  /** In the order of x; both coordinates positive on logarithmic axes. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Chart {
  readonly title: string;
  /** What a reader who does not see it should know. */
  readonly description: string;
  readonly x: string;
  readonly series: readonly ChartSeries[];
  /** How a value is written, on the axis and where a pointer rests on a point. */
  readonly show: (value: number) => string;
  /** Logarithmic unless given. */
  readonly axes?: "log" | "linear";
  /** What round values on a logarithmic axis are powers of; 10 unless given. */
  readonly base?: 2 | 10;
  /** Lengths to mark, as where lines cross. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

/** Colours that differ in lightness too (Okabe and Ito), each with a dash and a point of its own. */
const inks = ["#d55e00", "#b8860b", "#0072b2", "#009e73", "#a8407f", "#555555"] as const;
const inksOnDark = ["#ff8f4d", "#f0c040", "#5cb8ff", "#3fd6a6", "#f09fd0", "#bbbbbb"] as const;
const dashes = ["", "7 3", "", "2 3", "9 3 2 3", "4 4"] as const;

const style = `<style>
.chart { font: 12px system-ui, sans-serif } .chart text { fill: #333 } .chart .grid { stroke: #d8d8d8 } .chart .mark { stroke: #777; stroke-dasharray: 3 3 }
.chart path { fill: none; stroke-width: 2 }
${inks.map((ink, i) => `.chart .s${i} { stroke: ${ink} } .chart .p${i} { fill: ${ink} }`).join("\n")}
@media (prefers-color-scheme: dark) { .chart text { fill: #ddd } .chart .grid { stroke: #444 } .chart .mark { stroke: #999 }
${inksOnDark.map((ink, i) => `.chart .s${i} { stroke: ${ink} } .chart .p${i} { fill: ${ink} }`).join("\n")} }
</style>`;

const [width, height] = [620, 360];
const [left, right, top, bottom] = [70, 16, 56, 44];
const plotWidth = width - left - right;
const plotHeight = height - top - bottom;

/** Lines over one number, as an SVG element that can stand in a page or in a file of its own. */
export function lineChart(chart: Chart): string {
  const points = chart.series.flatMap((series) => series.points);
  const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const ys = points.map(({ y }) => y);
  const linear = chart.axes === "linear";
  const ticks = linear ? linearTicks(ys) : logTicks(ys, chart.base);
  const columns = linear ? linearTicks(xs).filter((x) => x >= xs[0]! && x <= xs.at(-1)!) : thinned(xs);
  const at = scales(xs, ticks, linear);
  const parts = [
    ...ticks.map((y) => horizontal(at.y(y), chart.show(y))),
    ...columns.map((x) => vertical(at.x(x), String(x))),
    ...marksOf(chart, at),
    ...chart.series.map((series, i) => line(series, i, at, chart)),
    ...(chart.series.length > 1 ? legend(chart.series.map(({ name }) => name)) : []),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(`${chart.title}. ${chart.description}`)}">
<title>${escaped(chart.title)}</title>
<desc>${escaped(chart.description)}</desc>
${style}
<text x="${left}" y="18" font-weight="bold">${escaped(chart.title)}</text>
${parts.join("\n")}
<text x="${left + plotWidth / 2}" y="${height - 8}" text-anchor="middle">${escaped(chart.x)}</text>
</svg>`;
}

/** Points of a line that are drawn one by one; beyond, it is a curve. */
const most = 40;

interface Scales {
  x(value: number): number;
  y(value: number): number;
}

function scales(xs: readonly number[], ticks: readonly number[], linear: boolean): Scales {
  const scale = (low: number, high: number) => (value: number) => {
    if (high === low) return 0.5;
    return linear ? (value - low) / (high - low) : Math.log(value / low) / Math.log(high / low);
  };
  const [across, up] = [scale(xs[0] ?? 1, xs.at(-1) ?? 1), scale(ticks[0]!, ticks.at(-1)!)];
  const pixel = (value: number) => Number(value.toFixed(1));
  return {
    x: (value) => pixel(left + across(value) * plotWidth),
    y: (value) => pixel(top + (1 - up(value)) * plotHeight),
  };
}

/** Round numbers around all values: powers of the base, with others between them where there are few, not all where there are many. */
function logTicks(values: readonly number[], base: 2 | 10 = 10): readonly number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (!(low > 0 && Number.isFinite(high))) return [1, 10];
  const log = base === 2 ? Math.log2 : Math.log10;
  const few = base === 10 && log(high / low) < 2;
  const step = base === 2 ? Math.max(1, Math.ceil(log(high / low) / 6)) : 1;
  const all: number[] = [];
  for (let power = Math.floor(log(low) / step) * step; power < log(high) + 2 * step; power += step)
    for (const factor of few ? [1, 2, 5] : [1]) all.push(factor * base ** power);
  const first = all.findLastIndex((tick) => tick <= low);
  const last = all.findIndex((tick) => tick >= high);
  return all.slice(Math.max(0, first), Math.max(first + 1, last) + 1);
}

/** Round numbers around all values, evenly. */
function linearTicks(values: readonly number[]): readonly number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const rough = (high - low || 1) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step);
  const count = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: count + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** At most eleven, evenly, the last among them. */
function thinned(xs: readonly number[]): readonly number[] {
  const step = Math.ceil(xs.length / 11);
  return xs.filter((_, i) => (xs.length - 1 - i) % step === 0);
}

const horizontal = (y: number, label: string) =>
  `<line class="grid" x1="${left}" x2="${left + plotWidth}" y1="${y}" y2="${y}"/><text x="${left - 6}" y="${y + 4}" text-anchor="end">${escaped(label)}</text>`;

const vertical = (x: number, label: string) =>
  `<line class="grid" x1="${x}" x2="${x}" y1="${top}" y2="${top + plotHeight}"/><text x="${x}" y="${top + plotHeight + 16}" text-anchor="middle">${escaped(label)}</text>`;

function marksOf({ marks = [] }: Chart, at: Scales): readonly string[] {
  return marks.map(({ x, label }, i) => {
    const [line, y] = [at.x(x), top + plotHeight - 8 - 14 * (i % 3)];
    const [dx, anchor] = line > left + plotWidth * 0.6 ? [-4, "end"] : [4, "start"];
    return `<line class="mark" x1="${line}" x2="${line}" y1="${top}" y2="${top + plotHeight}"/><text x="${line + dx}" y="${y}" text-anchor="${anchor}">${escaped(label)}</text>`;
  });
}

function line({ name, points }: ChartSeries, i: number, at: Scales, { x, show }: Chart): string {
  const n = i % inks.length;
  const path = points.map((point, j) => `${j === 0 ? "M" : "L"}${at.x(point.x)} ${at.y(point.y)}`).join("");
  const dots = (points.length > most ? [] : points).map(
    (point) =>
      `<circle class="p${n}" cx="${at.x(point.x)}" cy="${at.y(point.y)}" r="3.5"><title>${escaped(`${name}, ${x} ${point.x}: ${show(point.y)}`)}</title></circle>`,
  );
  return `<path class="s${n}" stroke-dasharray="${dashes[n]}" d="${path}"/>${dots.join("")}`;
}

function legend(names: readonly string[]): readonly string[] {
  const room = plotWidth / names.length;
  return names.map((name, i) => {
    const [x, y, n] = [left + i * room, 38, i % inks.length];
    const fits = Math.max(4, Math.floor((room - 34) / 6.5));
    const text = name.length > fits ? `…${name.slice(1 - fits)}` : name;
    return `<path class="s${n}" stroke-dasharray="${dashes[n]}" d="M${x.toFixed(1)} ${y - 4}h22"/><circle class="p${n}" cx="${(x + 11).toFixed(1)}" cy="${y - 4}" r="3.5"/><text x="${(x + 28).toFixed(1)}" y="${y}">${escaped(text)}</text>`;
  });
}
