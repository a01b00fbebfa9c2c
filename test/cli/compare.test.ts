import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { comparePage } from "../../src/cli/compare-page.ts";
import type { CompareReport } from "../../src/compare-report.ts";
import { buildTimeout, built, qkv, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const linear = "models/linear-attention.ts";
const brief = ["--rounds", "1", "--no-memory"];

beforeAll(built, buildTimeout);

const number = expect.any(Number);
const variant = (name: string, peakBytes: unknown = null) => ({
  name,
  level: name === "naive" ? "disabled" : "all",
  nodes: number,
  placement: { CPUExecutionProvider: number },
  params: number,
  flops: number,
  bytes: number,
  peakBytes,
  latencyMs: { median: number, p10: number, p90: number, n: number },
  maxAbsError: number,
  maxRelError: number,
  equal: true,
  unrounded: false,
});

const isTextOrNull = (value: unknown) => value === null || typeof value === "string";
const nullable = (kind: string) => expect.toSatisfy((value) => value === null || typeof value === kind);
const order = {
  order: nullable("number"),
  by: nullable("string"),
  formula: nullable("string"),
  from: number,
  to: number,
  points: number,
  spread: nullable("object"),
  note: nullable("string"),
};

describe("--json", () => {
  test("has the fields of the contract, and no others", async () => {
    const text = await qkvRight(["compare", linear, "--sweep", "seq=3,65", "--rounds", "1", "--json", "-"]);
    const report = JSON.parse(text) as CompareReport;
    expect(report).toEqual({
      model: "linear-attention",
      target: "ort-cpu",
      machine: {
        cpu: expect.any(String),
        cores: number,
        memoryBytes: number,
        node: process.versions.node,
        onnxruntime: expect.stringMatching(/^1\./),
        ep: "cpu",
        threads: number,
      },
      runs: [3, 65].map((seq) => ({
        dims: { seq },
        reference: "float64 reference",
        realPositionsOf: null,
        fileRefused: null,
        variants: ["naive", "ort", "optimised"].map((name) => variant(name, number)),
      })),
      passes: report.passes.map(() => ({
        name: expect.any(String),
        rules: { fired: expect.any(Object), refused: expect.any(Object) },
        flops: { before: expect.any(String), after: expect.any(String) },
        nodes: { before: number, after: number },
        notes: expect.any(Array),
        ms: number,
      })),
      diff: null,
      growth: [
        {
          symbol: "seq",
          dims: {},
          lengths: [3, 65],
          variants: ["naive", "ort", "optimised"].map((name) => ({
            name,
            // At 3 tokens the optimised graph is another than at 65.
            flops: name === "optimised" ? { ...order, by: null, order: null } : { ...order, by: "formula", order: 2 },
            bytes: order,
            peakBytes: order,
            latencyMs: { ...order, order: null, by: null, points: 2, note: "2 lengths; a fit takes 3" },
          })),
        },
      ],
      crossovers: [
        ["naive", "ort"],
        ["naive", "optimised"],
        ["ort", "optimised"],
      ].map((variants) => ({
        symbol: "seq",
        dims: {},
        variants,
        latency: {
          crossings: expect.any(Array),
          throughout: expect.toSatisfy((name) => name === null || variants.includes(name as string)),
          lengths: 2,
          apart: number,
          note: null,
        },
        flops: { fewer: variants[1] === "ort" ? null : "optimised", condition: expect.toSatisfy(isTextOrNull) },
      })),
    });
    expect(report.passes.map(({ name }) => name)).toContain("reassociate");
    for (const { rules } of report.passes) {
      expect(Object.values(rules.fired).every((count) => Number.isInteger(count) && count > 0)).toBe(true);
      for (const reasons of Object.values(rules.refused))
        expect(Object.values(reasons).every((count) => Number.isInteger(count) && count > 0)).toBe(true);
    }
  });

  test("counts what runs: the formulas of the notes at 65 tokens", async () => {
    const report = JSON.parse(
      await qkvRight(["compare", linear, "--dims", "seq=65", ...brief, "--json", "-"]),
    ) as CompareReport;
    const [naive, , optimised] = report.runs[0]!.variants;
    // Three projections of 2·64·64·n, then 2·64·n² twice; or 2·64·64·n twice where V Kᵀ comes first.
    expect(naive!.flops).toBe(3 * 2 * 64 * 64 * 65 + 2 * 2 * 64 * 65 * 65);
    expect(optimised!.flops).toBeLessThanOrEqual(5 * 2 * 64 * 64 * 65);
    expect(naive!.params).toBe(3 * 64 * 64);
    expect(naive!.nodes).toBe(5);
    expect(report.passes[0]!.flops.before).toContain("seq^2");
    expect(report.passes.at(-1)!.flops.after).not.toContain("seq^2");
  });

  test("into a file, beside the table", async () => {
    const text = await qkvRight(["compare", linear, "--dims", "seq=5", ...brief, "--json", at("report.json")]);
    const report = JSON.parse(readFileSync(at("report.json"), "utf8")) as CompareReport;
    expect(report.runs[0]!.variants.map(({ name }) => name)).toEqual(["naive", "ort", "optimised"]);
    expect(text).toContain("vs ort");
    for (const name of ["naive", "ort", "optimised"]) expect(text).toMatch(new RegExp(`^${name} .* yes$`, "m"));
  });
});

describe("--sweep", () => {
  test("over a range: growth and crossovers, by formula and as measured", async () => {
    const text = await qkvRight(["compare", linear, "--sweep", "seq=8..256", ...brief]);
    expect(text.match(/^seq=\d+/gm)).toEqual([8, 16, 32, 64, 128, 256].map((seq) => `seq=${seq}`));
    expect(text).toMatch(/^growth over seq, 8 to 256$/m);
    expect(text).toMatch(/^naive +seq\^2 +seq\^2 +- +~ seq\^-?\d\.\d\d$/m);
    expect(text).toMatch(/^optimised +seq +seq +- +~ seq\^-?\d\.\d\d$/m);
    expect(text).toContain("~: fitted through seq 64 to 256");
    expect(text).toMatch(/^crossovers over seq, 8 to 256$/m);
    // 256 n² + 24576 n against 16384 n + 1048576: equal at 49.9.
    expect(text).toContain("FLOPs: optimised has fewer than naive where seq > 49");
  });

  test("of a step, mixed with single sizes, each once", async () => {
    const args = ["compare", linear, "--sweep", "seq=2,5..9:2,9,12", ...brief, "--json", "-"];
    const report = JSON.parse(await qkvRight(args)) as CompareReport;
    expect(report.runs.map(({ dims }) => dims.seq)).toEqual([2, 5, 7, 9, 12]);
  });

  test("of two dimensions: every size with every other", async () => {
    const args = ["compare", "models/multi-head.ts", "--set", "d=16,heads=2,kvHeads=2", ...brief, "--json", "-"];
    const swept = [...args, "--sweep", "seq=2..8", "--sweep", "batch=1,3"];
    const report = JSON.parse(await qkvRight(swept)) as CompareReport;
    expect(report.runs.map(({ dims }) => [dims.seq, dims.batch])).toEqual(
      [2, 4, 8].flatMap((n) => [
        [n, 1],
        [n, 3],
      ]),
    );
    expect(report.growth.map(({ symbol, dims }) => [symbol, dims])).toEqual([
      ...[2, 4, 8].map((seq) => ["batch", { seq }]),
      ...[1, 3].map((batch) => ["seq", { batch }]),
    ]);
    for (const { symbol, variants } of report.growth)
      expect(variants[0]!.flops).toMatchObject({ order: symbol === "seq" ? 2 : 1, by: "formula" });
  });
});

describe("--html", () => {
  test("is one page that needs nothing else, with the charts, growth and crossovers", async () => {
    await qkvRight(["compare", linear, "--sweep", "seq=32..256", ...brief, "--html", at("report.html")]);
    const page = readFileSync(at("report.html"), "utf8");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/<script|<link|<img|src=|@import|url\(/);
    expect([...page.matchAll(/<svg[^>]* role="img" aria-label="([^"]+)\. /g)].map(([, title]) => title)).toEqual([
      "Latency",
      "FLOPs",
    ]);
    // Three variants at four lengths.
    expect(page.match(/<circle[^>]*><title>[^<]+, seq \d+: [\d.]+ m?s<\/title>/g)).toHaveLength(12);
    for (const text of ["~ seq^", "Crossovers", "optimised has fewer than naive where seq &gt; 49", "reassociate ×1"])
      expect(page).toContain(text);
  });

  test("says once what is known at one length only", async () => {
    const args = ["compare", linear, "--sweep", "seq=3,9", ...brief, "--json", "-"];
    const report = JSON.parse(await qkvRight(args)) as CompareReport;
    const [first, last] = report.runs;
    const less = { ...last!, variants: last!.variants.filter(({ name }) => name !== "ort") };
    const page = comparePage({ ...report, runs: [first!, less] });
    const flops = /aria-label="FLOPs\. ([^"]+)"/.exec(page)![1]!.split("; ");
    expect(flops.map((text) => text.match(/ at \d+/g))).toEqual([[" at 3", " at 9"], [" at 3"], [" at 3", " at 9"]]);
  });

  test("of a single run has its table and no charts", async () => {
    await qkvRight(["compare", linear, "--dims", "seq=9", ...brief, "--html", at("one.html")]);
    const page = readFileSync(at("one.html"), "utf8");
    expect(page).not.toContain("<svg");
    expect(page.match(/<tr><td>(naive|ort|optimised)<\/td>/g)).toHaveLength(3);
  });

  test("shows names as text, whatever they hold", async () => {
    await qkvRight(["compile", linear, "-o", at("<b>&.onnx"), "--naive"]);
    const args = ["compare", linear, "--sweep", "seq=3,9", ...brief, "--against", at("<b>&.onnx")];
    await qkvRight([...args, "--html", at("names.html")]);
    const page = readFileSync(at("names.html"), "utf8");
    expect(page).toContain("&lt;b&gt;&amp;.onnx");
    expect(page).not.toContain("<b>");
  });
});

test("--ablate adds a row per rule that fired", async () => {
  const report = JSON.parse(
    await qkvRight(["compare", linear, "--dims", "seq=65", ...brief, "--ablate", "--json", "-"]),
  ) as CompareReport;
  const names = report.runs[0]!.variants.map(({ name }) => name);
  expect(names.slice(0, 3)).toEqual(["naive", "ort", "optimised"]);
  expect(names.slice(3).length).toBeGreaterThan(0);
  for (const name of names.slice(3)) expect(name).toMatch(/^without /);
  expect(report.runs[0]!.variants.every(({ equal }) => equal)).toBe(true);
});

describe("--against", () => {
  test("another file is a row of its own", async () => {
    await qkvRight(["compile", linear, "-o", at("same.onnx"), "--naive"]);
    const args = ["compare", linear, "--dims", "seq=9", ...brief, "--against", at("same.onnx"), "--json", "-"];
    const report = JSON.parse(await qkvRight(args)) as CompareReport;
    expect(report.runs[0]!.variants[3]).toEqual({
      ...variant(at("same.onnx")),
      flops: null,
      bytes: null,
      params: number,
    });
  });

  test("a file with other numbers is not equal and has no ratio", async () => {
    await qkvRight(["compile", linear, "-o", at("other.onnx"), "--seed", "1"]);
    const text = await qkvRight(["compare", linear, "--dims", "seq=9", ...brief, "--against", at("other.onnx")]);
    const row = text.split("\n").find((line) => line.startsWith(at("other.onnx")))!;
    expect(row).toMatch(/\s-\s+-\s+\S+\s+NO$/);
  });
});

test("--inputs are used", async () => {
  const x = { dtype: "f32", dims: [64, 2], data: new Array(128).fill(0) };
  writeFileSync(at("zeros.json"), JSON.stringify({ x }));
  const args = ["compare", linear, "--dims", "seq=2", ...brief, "--inputs", at("zeros.json"), "--json", "-"];
  const report = JSON.parse(await qkvRight(args)) as CompareReport;
  for (const { maxAbsError } of report.runs[0]!.variants) expect(maxAbsError).toBe(0);
});

test("sizes come from --inputs where --dims gives none", async () => {
  const x = { dtype: "f32", dims: [64, 2], data: new Array(128).fill(0) };
  writeFileSync(at("two.json"), JSON.stringify({ x }));
  const report = JSON.parse(
    await qkvRight(["compare", linear, ...brief, "--inputs", at("two.json"), "--json", "-"]),
  ) as CompareReport;
  expect(report.runs[0]!.dims).toEqual({ seq: 2 });
});

test("sizes that contradict --inputs are refused", async () => {
  const x = { dtype: "f32", dims: [64, 2], data: new Array(128).fill(0) };
  writeFileSync(at("against.json"), JSON.stringify({ x }));
  const { code, stderr } = await qkv(["compare", linear, "--dims", "seq=3", ...brief, "--inputs", at("against.json")]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^error\[QKV/);
});

test("is silent on stderr where that is no terminal", async () => {
  const { stderr } = await qkv(["compare", linear, "--dims", "seq=4", ...brief]);
  expect(stderr).toBe("");
});
