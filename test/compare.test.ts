import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import encoder from "../models/encoder.ts";
import linearAttention from "../models/linear-attention.ts";
import selfAttention from "../models/self-attention.ts";
import { readModel } from "../src/backends/onnx/decode.ts";
import { encodeModel } from "../src/backends/onnx/encode.ts";
import { importModel } from "../src/backends/onnx/import/import.ts";
import { renderReport } from "../src/cli/compare.ts";
import { type CompareOptions, compare } from "../src/compare.ts";
import { compile } from "../src/compile.ts";
import { einsum, input, model, param } from "../src/index.ts";
import { fromNumbers } from "../src/ir/tensor.ts";
import { graph, info, int, modelOf, node, tensor } from "./import/support.ts";
import { slightlyWrong } from "./support/planted.ts";

const brief: CompareOptions = { memory: false, measure: { rounds: 1, minMs: 1, warmupMs: 0, restMs: 0 } };
const at = (seq: number) => ({ runs: [new Map([["seq", seq]])] });
const rowOf = (text: string, name: string) => text.split("\n").find((line) => line.startsWith(`${name} `))!;

describe("equality", () => {
  test.each([
    ["self-attention", selfAttention, 17],
    ["linear-attention", linearAttention, 65],
  ] as const)("%s: all variants equal the reference", async (_, declared, seq) => {
    const { runs } = await compare(declared, { ...brief, ...at(seq) });
    expect(runs[0]!.reference).toBe("float64 reference");
    expect(runs[0]!.variants.map(({ name, equal }) => ({ name, equal }))).toEqual(
      ["naive", "ort", "optimised"].map((name) => ({ name, equal: true })),
    );
  });

  test("a wrong pass is not equal and has no ratio", async () => {
    const report = await compare(selfAttention, { ...brief, ...at(9), passes: [slightlyWrong] });
    const [naive, ort, optimised] = report.runs[0]!.variants;
    expect([naive!.equal, ort!.equal, optimised!.equal]).toEqual([true, true, false]);
    expect(optimised!.maxRelError).toBeGreaterThan(9e-4);
    expect(optimised!.maxRelError).toBeLessThan(1.1e-3);
    const row = rowOf(renderReport(report), "optimised");
    expect(row).toMatch(/ -\s+-\s+\S+\s+NO$/);
    expect(row).not.toContain("×");
  });

  test("large work is measured against the graph in float64", async () => {
    const { runs } = await compare(linearAttention, { ...brief, ...at(1024) });
    expect(runs[0]!.reference).toBe("naive graph in float64");
    expect(runs[0]!.variants.every(({ equal }) => equal)).toBe(true);
  });
});

describe("figures", () => {
  const [a, b, c] = [3, 5, 7];

  test("one product: 2·n·a·b operations, operands and result once", async () => {
    const declared = model("product", {}, () => ({
      y: einsum("n i, i o -> n o", input("x", "f32", ["seq", a]), param("w", [a, b])),
    }));
    const { runs } = await compare(declared, { ...brief, ...at(c) });
    for (const { flops, bytes, params, nodes } of runs[0]!.variants) {
      expect(flops).toBe(2 * c * a * b);
      expect(bytes).toBe(4 * (c * a + a * b + c * b));
      expect(params).toBe(a * b);
      expect(nodes).toBe(1);
    }
  });

  test("linear attention at 100 tokens, d 4, by hand", async () => {
    const { runs, passes } = await compare(linearAttention, { ...brief, ...at(100), settings: { d: 4 } });
    const [naive, ort, optimised] = runs[0]!.variants;
    // Projections 3·2·d²·n, then 2·d·n² twice.
    expect(naive!.flops).toBe(3 * 2 * 16 * 100 + 2 * 2 * 4 * 100 * 100);
    expect(ort!.flops).toBe(naive!.flops);
    // At least twice 2·d²·n remain: x enters and o leaves.
    expect(optimised!.flops).toBeGreaterThanOrEqual(2 * 2 * 16 * 100);
    expect(optimised!.flops).toBeLessThanOrEqual(5 * 2 * 16 * 100);
    expect(passes[0]!.flops.before).toBe("16*seq^2 + 96*seq");
  });

  test("memory is that of a process of its own, and grows with what is held", async () => {
    const peak = async (seq: number) => {
      const { runs } = await compare(selfAttention, { ...brief, memory: true, ...at(seq) });
      return runs[0]!.variants[0]!.peakBytes!;
    };
    // Scores alone are seq² · 4 bytes: 64 MiB at 4096.
    expect(await peak(4096)).toBeGreaterThan((await peak(128)) + 32 * 2 ** 20);
  }, 240_000);

  test("every node ran where it was placed", async () => {
    const { runs, machine } = await compare(linearAttention, { ...brief, ...at(5), threads: 1 });
    for (const { nodes, placement } of runs[0]!.variants) expect(placement).toEqual({ CPUExecutionProvider: nodes });
    expect(machine.threads).toBe(1);
  });
});

describe("rows", () => {
  test("one run per set of sizes", async () => {
    const { runs } = await compare(linearAttention, {
      ...brief,
      runs: [3, 1, 65].map((seq) => new Map([["seq", seq]])),
    });
    expect(runs.map(({ dims }) => dims)).toEqual([{ seq: 3 }, { seq: 1 }, { seq: 65 }]);
  });

  test("ablation leaves one rule out per row", async () => {
    const settings = { layers: 1, d: 16, heads: 2, ffn: 24, vocab: 11 };
    const { runs, passes } = await compare(encoder, { ...brief, ...at(9), settings, ablate: true });
    const fired = new Set(passes.flatMap(({ rules }) => Object.keys(rules.fired)));
    const names = runs[0]!.variants.slice(3).map(({ name }) => name.replace(/^without /, ""));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(fired).toContain(name);
    expect(runs[0]!.variants.every(({ equal }) => equal)).toBe(true);
  });

  test("a file that rounds is compared with what it gives as it is", async () => {
    const folder = mkdtempSync(join(tmpdir(), "qkv-compare-"));
    try {
      const file = join(folder, "buckets.onnx");
      const nodes = [
        node("Log", ["x"], ["log"]),
        node("Div", ["log", "ten"], ["ratio"]),
        node("Floor", ["ratio"], ["y"]),
      ];
      const io = [[info("x", "f32", ["n"])], [info("y", "f32", ["n"])]] as const;
      const stored = [tensor("ten", "f32", [1], [Math.fround(Math.log(Math.fround(10)))])];
      writeFileSync(file, encodeModel(modelOf(graph(nodes, ...io, stored))).model);
      const powers = fromNumbers(
        "f32",
        [8],
        Array.from({ length: 8 }, (_, i) => 10 ** i),
      );
      const { runs } = await compare(
        { ...importModel(readModel(file)), file },
        { ...brief, feeds: new Map([["x", powers]]) },
      );
      expect(runs[0]).toMatchObject({ reference: "file as it is" });
      expect(runs[0]!.variants.every(({ equal }) => equal)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a file that the runtime loads only where it optimises is compared so", async () => {
    const folder = mkdtempSync(join(tmpdir(), "qkv-compare-"));
    try {
      const file = join(folder, "half.onnx");
      const nodes = [
        node("Softmax", ["x"], ["p"]),
        node("Cast", ["p"], ["same"], { to: int(10) }),
        node("MatMul", ["same", "x"], ["y"]),
      ];
      const io = [[info("x", "f16", [3, 3])], [info("y", "f16", [3, 3])]] as const;
      writeFileSync(file, encodeModel(modelOf(graph(nodes, ...io))).model);
      const { runs } = await compare({ ...importModel(readModel(file)), file }, brief);
      const variants = runs[0]!.variants.map(({ name, level, equal }) => ({ name, level, equal }));
      expect(variants).toContainEqual({ name: "naive", level: "basic", equal: true });
      expect(variants).toContainEqual({ name: "optimised", level: "all", equal: true });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a file of another's", async () => {
    const folder = mkdtempSync(join(tmpdir(), "qkv-compare-"));
    try {
      const file = join(folder, "other.onnx");
      writeFileSync(file, encodeModel((await compile(linearAttention, { naive: true })).onnx()).model);
      const { runs } = await compare(linearAttention, { ...brief, ...at(9), against: file });
      const [declared, , , other] = runs[0]!.variants;
      const { params } = declared!;
      expect(params).toBeGreaterThan(0);
      expect(other).toMatchObject({ name: file, params, flops: null, bytes: null, equal: true });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("inputs", () => {
  const zeros = new Map([["x", fromNumbers("f32", [64, 3], new Float64Array(192))]]);

  test("given are used, and sizes are theirs", async () => {
    const { runs } = await compare(linearAttention, { ...brief, feeds: zeros });
    expect(runs[0]!.dims).toEqual({ seq: 3 });
    for (const { maxAbsError } of runs[0]!.variants) expect(maxAbsError).toBe(0);
  });

  test.each([
    ["sizes that contradict them", { ...at(4), feeds: zeros }, "QKV242"],
    ["an unknown dimension", { runs: [new Map([["length", 4]])] }, "QKV504"],
    ["rounds of nothing", { ...at(4), measure: { rounds: 0 } }, "QKV451"],
    ["no threads", { ...at(4), threads: 0 }, "QKV451"],
    ["a file that is not there", { ...at(4), against: "/nonexistent.onnx" }, "QKV413"],
  ] as const)("%s are refused", async (_, options, code) => {
    await expect(compare(linearAttention, { ...brief, ...options })).rejects.toMatchObject({ code });
  });
});
