import { describe, expect, test } from "vitest";
import { agreement } from "../../src/agreement.ts";
import { readModel } from "../../src/backends/onnx/decode.ts";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type { OptimizationLevel } from "../../src/backends/ort/session.ts";
import { compile } from "../../src/compile.ts";
import { everyNode } from "../../src/ir/cost.ts";
import { runFile, runModel } from "../../src/session.ts";
import { fetchPublished } from "./published.ts";
import { publishedModels } from "./published-models.ts";

const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];

describe.each(publishedModels)("$name", ({ name, package: published, opaque, respelled = [], finds, runs }) => {
  const fetched = fetchPublished(published);
  const reason = "reason" in fetched ? ` (${fetched.reason})` : "";
  const { path } = fetched as { readonly path: string };
  const read = () => readModel(path);

  test.skipIf(reason)(`leaves as they are only operators the IR lacks${reason}`, () => {
    expect([...new Set(importModel(read()).opaque.map(({ operator }) => operator))].sort()).toEqual(opaque);
  });

  test.skipIf(reason)(
    `is written as it was read: same outputs, to the last bit unless respelled${reason}`,
    async () => {
      const { onnx } = await compile(importModel(read()), { naive: true });
      for (const feeds of runs) {
        const expected = [{ onnx: read, level: "disabled" }, await runFile(path, feeds)] as const;
        const actual = [{ onnx, level: "disabled" }, await runModel(onnx(), feeds, { level: "disabled" })] as const;
        const { equal, maxAbsError } = await agreement(expected, actual, feeds);
        expect({ equal, exact: respelled.length > 0 || maxAbsError === 0 }).toEqual({ equal: true, exact: true });
      }
    },
  );

  test.skipIf(reason)(`optimised, has what is to be found and gives equal outputs at all levels${reason}`, async () => {
    const { graph, onnx } = await compile(importModel(read()));
    const counts = new Map<string, number>();
    for (const { op } of everyNode(graph)) counts.set(op, (counts.get(op) ?? 0) + 1);
    expect(Object.fromEntries(Object.keys(finds).map((op) => [op, counts.get(op) ?? 0]))).toEqual(finds);
    for (const [i, feeds] of runs.entries()) {
      const expected = [{ onnx: read, level: "disabled" }, await runFile(path, feeds)] as const;
      for (const level of levels) {
        const actual = [{ onnx, level }, await runModel(onnx(), feeds, { level })] as const;
        const { equal, outputs } = await agreement(expected, actual, feeds);
        expect({ equal, wrong: outputs.filter((output) => !output.equal) }, `${name}, run ${i}, ${level}`).toEqual({
          equal: true,
          wrong: [],
        });
      }
    }
  });
});
