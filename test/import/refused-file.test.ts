import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type { OnnxNode } from "../../src/backends/onnx/schema.ts";
import { checkAgainst } from "../../src/check.ts";
import { renderReport } from "../../src/cli/compare.ts";
import { compare } from "../../src/compare.ts";
import { compile } from "../../src/compile.ts";
import { modelBytes, tryFile } from "../../src/session.ts";
import { graph, info, int, modelOf, node, numbers, tensor } from "./support.ts";

/** Files that are right, and that ONNX Runtime does not run. */

const folder = mkdtempSync(join(tmpdir(), "qkv-refused-"));
afterAll(() => rmSync(folder, { recursive: true }));

function declare(name: string, op: OnnxNode, shape: readonly (string | number)[]) {
  const heads = (name: string, length: string) => info(name, "f32", [1, 2, length, 8]);
  const inputs = [heads("q", "T"), heads("k", "S"), heads("v", "S"), info("keep", "bool", [1, 1, 1, "S"])];
  const model = modelOf(graph([op], inputs, [info("y", "f32", shape)]), 23);
  const file = join(folder, `${name}.onnx`);
  writeFileSync(file, modelBytes(model));
  return { ...importModel(model), file };
}

const feeds = new Map([
  ["q", numbers("f32", [1, 2, 3, 8])],
  ["k", numbers("f32", [1, 2, 5, 8])],
  ["v", numbers("f32", [1, 2, 5, 8])],
  ["keep", numbers("bool", [1, 1, 1, 5], 1)],
]);
const attention = () => declare("attention", node("Attention", ["q", "k", "v", "keep"], ["y"]), [1, 2, "T", 8]);

it("a mask of keys, the same for all queries, is stretched along them in what is written", async () => {
  const declared = attention();
  expect(await tryFile(declared.file, feeds)).toMatchObject({ code: "QKV443" });
  const naive = await compile(declared, { naive: true });
  const told: string[] = [];
  const warn = (message: string) => told.push(message);
  expect(await checkAgainst(naive, await compile(declared), { file: declared.file, warn })).toBe(true);
  expect(told).toEqual([expect.stringMatching(/^ONNX Runtime does not run the file as it is, .* running Attention/)]);
});

it("the graph that was read is compared in its place, and the report says so", async () => {
  const report = await compare(attention(), { feeds, memory: false, measure: { rounds: 1, minMs: 1 } });
  expect(report.runs[0]!.fileRefused).toMatch(/running Attention/);
  expect(report.runs[0]!.variants.map(({ name, equal }) => [name, equal])).toEqual([
    ["naive", true],
    ["ort", true],
    ["optimised", true],
  ]);
  expect(renderReport(report)).toContain("naive, ort: ONNX Runtime does not run the file as it is");
});

it("where what was read does not run either, the runtime's own words on the file are the error", async () => {
  const declared = declare("unknown", node("NoSuchOperator", ["q"], ["y"], {}, "com.microsoft"), [1, 2, "T", 8]);
  const naive = await compile(declared, { naive: true });
  await expect(checkAgainst(naive, await compile(declared), { file: declared.file })).rejects.toMatchObject({
    code: "QKV441",
  });
});

/** A file that runs only where what is open is as long as the sizes of its parts together, which only a run knows. */
function parted(name: string, ...sizes: readonly number[]) {
  const outputs = sizes.map((_, i) => `y${i}`);
  const nodes = [
    node("NonZero", ["marks"], ["places"]),
    node("Reshape", ["places", "flat"], ["sizes"]),
    node("Split", ["x", "sizes"], outputs, { axis: int(0) }),
  ];
  const parts = outputs.map((y) => info(y, "f32", [null, 2]));
  const marks = Array.from({ length: Math.max(...sizes) + 1 }, (_, at) => Number(sizes.includes(at)));
  const initializers = [tensor("marks", "f32", [marks.length], marks), tensor("flat", "i64", [1], [-1])];
  const model = modelOf(graph(nodes, [info("x", "f32", ["n", 2])], parts, initializers));
  const file = join(folder, `${name}.onnx`);
  writeFileSync(file, modelBytes(model));
  return { ...importModel(model), file };
}

it.each([
  ["other sizes are tried", [6, 10], true, []],
  [
    "where it runs at none, nothing is checked",
    [3, 4],
    false,
    [expect.stringMatching(/^nothing was checked.* n = 5, 4, .*--dims.*--no-check.*Split/)],
  ],
] as const)("where the file runs at some sizes only, %s", async (name, sizes, checked, warnings) => {
  const declared = parted(name, ...sizes);
  const told: string[] = [];
  const warn = (message: string) => told.push(message);
  const naive = await compile(declared, { naive: true });
  expect(await checkAgainst(naive, await compile(declared), { file: declared.file, warn })).toBe(checked);
  expect(told).toEqual(warnings);
});
