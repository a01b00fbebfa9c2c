import { readFileSync } from "node:fs";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { ModelProtoSchema, type TensorProtoSchema } from "../../../src/backends/onnx/proto/generated/onnx_pb.ts";
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from "../../../src/backends/onnx/schema.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import { fromNumbers, tensorBytes } from "../../../src/ir/tensor.ts";

export const fixtures = new URL("../../../../shared/fixtures/", import.meta.url);

export function tensor(name: string, dtype: DType, dims: readonly number[], values: readonly number[]): OnnxTensor {
  return { name, dtype, dims, bytes: tensorBytes(fromNumbers(dtype, dims, values)) };
}

export function node(opType: string, inputs: readonly string[], outputs: readonly string[]): OnnxNode {
  return { opType, domain: "", name: outputs[0] ?? "", inputs, outputs, attributes: new Map() };
}

export const graph = (parts: Partial<OnnxGraph>): OnnxGraph => ({
  name: "g",
  nodes: [],
  inputs: [],
  outputs: [],
  valueInfo: [],
  initializers: [],
  ...parts,
});

export const model = (parts: Partial<OnnxGraph>): OnnxModel => ({
  irVersion: 10,
  opsetImports: [{ domain: "", version: 21 }],
  producerName: "qkv",
  producerVersion: "0.1.0",
  metadata: new Map([["__proto__", "a <b> key"]]),
  graph: graph(parts),
});

/** y = x + w, for x of `[n, size]` and w of 0, 1, 2, … */
export function addModel(size: number): OnnxModel {
  const shape = ["n", size];
  return model({
    nodes: [node("Add", ["x", "w"], ["y"])],
    inputs: [{ name: "x", dtype: "f32", shape }],
    outputs: [{ name: "y", dtype: "f32", shape }],
    initializers: [
      tensor(
        "w",
        "f32",
        [size],
        Array.from({ length: size }, (_, i) => i),
      ),
    ],
  });
}

/** Serialised bytes of a minimal valid model with one initializer as given, however wrong. */
export function modelWithTensor(init: MessageInitShape<typeof TensorProtoSchema>): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 10n,
      opsetImport: [{ domain: "", version: 21n }],
      graph: { name: "g", initializer: [init] },
    }),
  );
}

export const expectCode = (action: () => unknown, code: string) =>
  expect(action).toThrowError(expect.objectContaining({ name: "QkvError", code }));

/** The tensors of a safetensors file that `prefix` starts, named without it. */
export function fixtureTensors(
  path: URL,
  prefix: string,
): Map<string, { type: string; dims: number[]; bytes: Buffer }> {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    file.toString("utf8", 8, start),
  );
  return new Map(
    Object.entries(header).flatMap(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) =>
        name.startsWith(prefix)
          ? [[name.slice(prefix.length), { type: dtype, dims: shape, bytes: file.subarray(start + from, start + to) }]]
          : [],
    ),
  );
}
