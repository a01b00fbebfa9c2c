import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { randomInputs } from "../../../src/backends/ort/inputs.ts";
import { peakMemory } from "../../../src/backends/ort/memory.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";
import { tinyModel, unary } from "./support/tiny-onnx.ts";

/** The sum of all x[i]·x[j]: one n × n intermediate. */
const outer = tinyModel({
  inputs: [{ name: "x", dtype: "f32", shape: ["n", 1] }],
  outputs: [{ name: "y", dtype: "f32", shape: [1, 1] }],
  nodes: [
    { op: "Transpose", inputs: ["x"], outputs: ["t"], attributes: new Map([["perm", { ints: [1, 0] }]]) },
    { op: "MatMul", inputs: ["x", "t"], outputs: ["p"] },
    { op: "ReduceMax", inputs: ["p"], outputs: ["y"] },
  ],
});
const column = (n: number) => randomInputs([{ name: "x", dtype: "f32", dims: [n, 1] }], 0);
// A folder of its own: others measure at the same time.
beforeAll(() => void vi.stubEnv("TMPDIR", mkdtempSync(join(tmpdir(), "qkv-memories-"))));
afterAll(() => {
  rmSync(tmpdir(), { recursive: true });
  vi.unstubAllEnvs();
});
const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("qkv-memory-")).length;
/** Command lines of this process's children that are measuring processes; Linux only. */
function workers(): string[] {
  if (process.platform !== "linux") return [];
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
  const commands = children.filter(Boolean).map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  return commands.filter((command) => command.includes("worker.mjs"));
}
const MiB = 2 ** 20;

test("sees the intermediate that a graph needs", async () => {
  const before = leftovers();
  const small = await peakMemory(outer, column(16));
  const large = await peakMemory(outer, column(4096));
  // 4096² floats are 64 MiB; the arena may round up to twice that.
  expect(large.peakBytes).toBeGreaterThan(60 * MiB);
  expect(large.peakBytes).toBeLessThan(160 * MiB);
  expect(small.peakBytes).toBeLessThan(16 * MiB);
  expect(small.baselineBytes).toBeGreaterThan(10 * MiB);
  expect(leftovers()).toBe(before);
});

test("a model the runtime refuses", async () => {
  const before = leftovers();
  await expect(peakMemory(Uint8Array.of(1, 2), column(1))).rejects.toMatchObject({ code: "QKV441" });
  expect(leftovers()).toBe(before);
});

test("wrong inputs", async () => {
  await expect(peakMemory(outer, new Map())).rejects.toMatchObject({
    code: "QKV442",
    message: expect.stringContaining("input `x` is missing"),
    details: { notes: expect.arrayContaining(["the model takes x: f32[n, 1]"]) },
  });
});

test("a run that fails", async () => {
  const model = unary("ConstantOfShape", "i64", ["n"], "f32");
  const feeds = new Map([["x", fromNumbers("i64", [1], [2 ** 46])]]);
  await expect(peakMemory(model, feeds)).rejects.toMatchObject({ code: "QKV454" });
});

test("a run that takes too long is killed", async () => {
  await expect(peakMemory(outer, column(2048), { runs: 100_000, timeoutMs: 1500 })).rejects.toMatchObject({
    code: "QKV450",
    message: expect.stringContaining("longer than 1500 ms"),
  });
  expect(workers()).toEqual([]);
});

test("a process that dies is reported", async () => {
  const before = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = "--no-such-option";
  try {
    await expect(peakMemory(outer, column(1))).rejects.toMatchObject({
      code: "QKV450",
      message: expect.stringMatching(/ended with status \d+/),
    });
  } finally {
    if (before === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = before;
  }
});

test.each([{ runs: 0 }, { timeoutMs: 0 }, { timeoutMs: Number.NaN }, { threads: 0 }])(
  "bad option %j",
  async (options) => {
    await expect(peakMemory(outer, column(1), options)).rejects.toMatchObject({ code: "QKV451" });
  },
);
