import { inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { heatPng, rangeOf } from "../../../src/backends/report/heat-picture.ts";
import { type Chart, lineChart } from "../../../src/backends/report/line-chart.ts";
import { htmlPage, htmlTable } from "../../../src/backends/report/page.ts";

const chart: Chart = {
  title: "Time <&>",
  description: 'what "it" shows',
  x: "seq",
  show: (y) => `${y} ms`,
  series: [
    { name: "naive", points: [16, 64, 256, 1024].map((x) => ({ x, y: x ** 2 / 1000 })) },
    { name: "a<b", points: [16, 64, 256].map((x) => ({ x, y: x / 10 })) },
  ],
  marks: [{ x: 100, label: "a<b from 100" }],
};

/** Where the points of the n-th series are. */
const dots = (svg: string, n: number) =>
  [...svg.matchAll(new RegExp(`<circle class="p${n}" cx="([\\d.]+)" cy="([\\d.]+)" r="3.5"><title>`, "g"))].map(
    ([, x, y]) => [Number(x), Number(y)] as const,
  );

describe("a chart of lines", () => {
  test("is markup in which names are text", () => {
    const svg = lineChart(chart);
    const body = svg.replace(/<style>[\s\S]*?<\/style>/, "");
    expect(body).toContain("<title>Time &lt;&amp;&gt;</title>");
    expect(body).toContain('aria-label="Time &lt;&amp;&gt;. what &quot;it&quot; shows"');
    // Every element is closed, and no text opens one.
    const open = [...body.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)].filter(([, , , self]) => !self);
    const depth = open.reduce((level, [, end]) => level + (end ? -1 : 1), 0);
    expect(depth).toBe(0);
    expect(body.replace(/<[^<>]*>/g, "")).not.toMatch(/[<>]/);
  });

  test("has powers as straight lines, in their order", () => {
    const svg = lineChart(chart);
    const [square, line] = [dots(svg, 0), dots(svg, 1)];
    expect([square.length, line.length]).toEqual([4, 3]);
    const steps = square.slice(1).map(([x, y], i) => [x - square[i]![0], square[i]![1] - y] as const);
    for (const [across, up] of steps) {
      expect(across).toBeCloseTo(steps[0]![0], 0);
      expect(up).toBeCloseTo(steps[0]![1], 0);
    }
    // The slower one is drawn higher, beyond 100.
    expect(square[0]![1]).toBeGreaterThan(line[0]![1]);
    expect(square[2]![1]).toBeLessThan(line[2]![1]);
  });

  test("has a mark between the lengths it lies between", () => {
    const svg = lineChart(chart);
    const mark = Number(/class="mark" x1="([\d.]+)"/.exec(svg)![1]);
    expect(mark).toBeGreaterThan(dots(svg, 0)[1]![0]);
    expect(mark).toBeLessThan(dots(svg, 0)[2]![0]);
  });

  test("of numbers below zero has linear axes", () => {
    const points = [-2, -1, 0, 1, 2].map((x) => ({ x, y: 10 * x }));
    const svg = lineChart({ ...chart, axes: "linear", marks: [], series: [{ name: "line", points }] });
    const ys = dots(svg, 0).map(([, y]) => y);
    for (const i of [1, 2, 3, 4]) expect(ys[i - 1]! - ys[i]!).toBeCloseTo(ys[0]! - ys[1]!, 0);
    expect(svg).toContain(">-20 ms</text>");
  });

  test("of one point, of equal values and of nothing is a chart", () => {
    for (const points of [
      [],
      [{ x: 8, y: 1 }],
      [
        { x: 8, y: 1 },
        { x: 16, y: 1 },
      ],
    ])
      expect(lineChart({ ...chart, marks: [], series: [{ name: "one", points }] })).not.toMatch(
        /NaN|Infinity|undefined/,
      );
  });
});

test("a heat picture has a colour for nothing, and shades in the order of the numbers", () => {
  const data = Float64Array.of(Number.NaN, -2, 0, 1, 2, Number.NEGATIVE_INFINITY);
  const png = Buffer.from(heatPng({ width: 3, height: 2, data }));
  const at = png.indexOf("IDAT");
  const rows = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
  const [width, scale] = [3 * 170, 170];
  const pixel = (x: number, y: number) => rows[y * scale * (width + 1) + 1 + x * scale]!;
  const [none, least, zero, one, two, infinite] = [
    pixel(0, 0),
    pixel(1, 0),
    pixel(2, 0),
    pixel(0, 1),
    pixel(1, 1),
    pixel(2, 1),
  ];
  expect([none, infinite]).toEqual([0, 0]);
  expect([least, zero, one, two]).toEqual([1, 128, 192, 255]);
  expect(rangeOf({ width: 3, height: 2, data })).toEqual([-2, 2]);
  expect(rangeOf({ width: 1, height: 1, data: Float64Array.of(Number.NaN) })).toBeUndefined();
});

test("a page holds its text as text", () => {
  const page = htmlPage("<script>", htmlTable("a & b", ["x"], [["<i>", { html: "<b>safe</b>", class: "wrong" }]]));
  expect(page).toContain("<title>&lt;script&gt;</title>");
  expect(page).toContain('<td>&lt;i&gt;</td><td class="wrong"><b>safe</b></td>');
  expect(page).toContain("a &amp; b");
});
