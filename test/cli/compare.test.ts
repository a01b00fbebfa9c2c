import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { CompareReport } from "../../src/compare.ts";
import { buildTimeout, built, qkv, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const linear = "models/linear-attention.ts";
const brief = ["--rounds", "1", "--no-memory"];

beforeAll(built, buildTimeout);

const number = expect.any(Number);
const variant = (name: string, peakBytes: unknown = null) => ({
  name,
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
});

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
