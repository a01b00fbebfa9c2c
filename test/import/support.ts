import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { readModel } from "../../src/backends/onnx/decode.ts";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type {
  OnnxAttribute,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxTensorInfo,
} from "../../src/backends/onnx/schema.ts";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import { openSafetensors } from "../../src/backends/weights/safetensors.ts";
import { compile } from "../../src/compile.ts";
import type { DType } from "../../src/ir/dtype.ts";
import { fromNumbers, type HostTensor, tensorBytes } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

/** Fixtures that lie beside the checkout; undefined where they do not. */
export function sharedFixtures(folder: string): string | undefined {
  const path = fileURLToPath(new URL(`../../../shared/fixtures/${folder}`, import.meta.url));
  return existsSync(path) ? path : undefined;
}

/** Imports an exported model and runs it, as it is and optimised: every operator is ours, and outputs are PyTorch's. */
export async function checkExport(folder: string, name: string): Promise<void> {
  const model = importModel(readModel(join(folder, `${name}.onnx`)));
  expect(model.opaque, name).toEqual([]);
  expect(model.warnings, name).toEqual([]);
  const tensors = openSafetensors(join(folder, `${name}.safetensors`));
  const under = (prefix: string) =>
    new Map(
      tensors
        .names()
        .filter((key) => key.startsWith(prefix))
        .map((key) => [key.slice(prefix.length), tensors.read(key)] as const),
    );
  for (const naive of [true, false]) {
    const { onnx } = await compile(model, { naive });
    const { maxAbsError, equal } = compareOutputs(under("out."), await runModel(onnx(), under("in.")));
    expect(equal, `${name}: ${maxAbsError}`).toBe(true);
  }
}

export const node = (
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, OnnxAttribute>> = {},
  domain = "",
): OnnxNode => ({ opType, domain, name: "", inputs, outputs, attributes: new Map(Object.entries(attributes)) });

export const int = (value: number): OnnxAttribute => ({ kind: "int", value });
export const ints = (...value: number[]): OnnxAttribute => ({ kind: "ints", value });

export const info = (name: string, dtype: DType, shape: OnnxTensorInfo["shape"]): OnnxTensorInfo => ({
  name,
  dtype,
  shape,
});

export function tensor(name: string, dtype: DType, dims: readonly number[], values: readonly number[]): OnnxTensor {
  return { name, dtype, dims, bytes: tensorBytes(fromNumbers(dtype, dims, values)) };
}

export const graph = (
  nodes: readonly OnnxNode[],
  inputs: OnnxGraph["inputs"],
  outputs: OnnxGraph["outputs"],
  initializers: readonly OnnxTensor[] = [],
): OnnxGraph => ({ name: "g", nodes, inputs, outputs, valueInfo: [], initializers });

export const modelOf = (of: OnnxGraph, opset = 18): OnnxModel => ({
  irVersion: 8,
  opsetImports: [
    { domain: "", version: opset },
    { domain: "com.microsoft", version: 1 },
  ],
  producerName: "test",
  producerVersion: "",
  metadata: new Map(),
  graph: of,
});

/** A tensor of numbers that repeat after eleven. */
export const numbers = (dtype: DType, dims: readonly number[], from = -1): HostTensor =>
  fromNumbers(
    dtype,
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => from + ((i * 7) % 11) / 4),
  );

/** Runs a model as it is and imported, naive and optimised: same outputs. Answers the import. */
export async function roundTrip(model: OnnxModel, ...runs: readonly Readonly<Record<string, HostTensor>>[]) {
  const imported = importModel(model);
  for (const run of runs) {
    const feeds = new Map(Object.entries(run));
    const expected = await runModel(model, feeds, { level: "disabled" });
    for (const options of [{ naive: true }, {}, { target: "onnx" }]) {
      const { onnx } = await compile(imported, options);
      const { equal, maxAbsError } = compareOutputs(expected, await runModel(onnx(), feeds));
      expect(equal, String(maxAbsError)).toBe(true);
    }
  }
  return imported;
}
