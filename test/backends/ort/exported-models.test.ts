import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compareOutputs } from "../../../src/backends/ort/compare-outputs.ts";
import { nodePlacement } from "../../../src/backends/ort/placement.ts";
import { openSession } from "../../../src/backends/ort/session.ts";
import { readTensors } from "../../../src/backends/ort/tensor-files.ts";
import type { HostTensor } from "../../../src/ir/tensor.ts";

const folder = fileURLToPath(new URL("../../../../shared/fixtures/exports/", import.meta.url));
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter((file) => file.endsWith(".onnx"))
      .map((file) => file.slice(0, -".onnx".length))
  : [];

/** Tensors named `<prefix>.x`, as `x`. */
const part = (tensors: ReadonlyMap<string, HostTensor>, prefix: string) =>
  new Map(
    [...tensors].flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t] as const] : [])),
  );

describe.skipIf(names.length === 0)("models exported by PyTorch (skipped without the shared fixtures)", () => {
  test.each(names)("%s gives PyTorch's own numbers at every level", async (name) => {
    const tensors = readTensors(`${folder}${name}.safetensors`);
    const expected = part(tensors, "out.");
    for (const level of ["disabled", "basic", "extended", "all"] as const) {
      const session = await openSession(`${folder}${name}.onnx`, { level });
      const actual = await session.run(part(tensors, "in."), [...expected.keys()]).finally(() => session.close());
      expect(compareOutputs(expected, actual), level).toMatchObject({ equal: true });
    }
  });

  test.each(names.slice(0, 2))("%s runs on the CPU, all of it", async (name) => {
    const feeds = part(readTensors(`${folder}${name}.safetensors`), "in.");
    const { counts, nodes } = await nodePlacement(`${folder}${name}.onnx`, { feeds });
    expect([...counts.keys()]).toEqual(["CPUExecutionProvider"]);
    expect(counts.get("CPUExecutionProvider")).toBe(nodes.length);
    expect(nodes.map(({ opType }) => opType)).toContain("MatMul");
  });
});
