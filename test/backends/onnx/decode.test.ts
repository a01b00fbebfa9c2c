import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type DecodeOptions, decodeModel, decodeTensor, readModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import {
  type AttributeProtoSchema,
  ModelProtoSchema,
  TensorProtoSchema,
} from "../../../src/backends/onnx/proto/generated/onnx_pb.ts";
import { QkvError } from "../../../src/ir/diagnostics.ts";
import { addModel, expectCode, modelWithTensor } from "./sample-models.ts";

const valid = encodeModel(addModel(3)).model;
const followedBy = (...tail: number[]) => Uint8Array.from([...valid, ...tail]);
const bytesOf = (init: MessageInitShape<typeof ModelProtoSchema>) =>
  toBinary(ModelProtoSchema, create(ModelProtoSchema, init));
const opsetImport = [{ domain: "", version: 21n }];
const base = { irVersion: 10n, opsetImport, graph: { name: "g" } };
const modelWithAttributes = (...attribute: MessageInitShape<typeof AttributeProtoSchema>[]) =>
  bytesOf({ ...base, graph: { node: [{ opType: "Op", attribute }] } });

/** A valid model, then messages within messages: each in the field of that number of the one before. */
function nest(fieldNumbers: readonly number[]): Uint8Array {
  let content: number[] = [];
  for (const number of [...fieldNumbers].reverse()) {
    const length: number[] = [];
    for (let rest = content.length; ; rest = Math.floor(rest / 128)) {
      length.push(rest < 128 ? rest : (rest % 128) + 128);
      if (rest < 128) break;
    }
    content = [number * 8 + 2, ...length, ...content];
  }
  return followedBy(...content);
}

const repeat = (count: number, ...bytes: number[]) => new Array<number[]>(count).fill(bytes).flat();

describe("malformed bytes are refused", () => {
  test.each<[string, Uint8Array]>([
    ["an empty file", new Uint8Array(0)],
    ["text", Buffer.from("this is not a model")],
    ["a truncated file", valid.subarray(0, -1)],
    ["a length beyond the end", followedBy(0x3a, 0x7f)],
    ["a length of 2^63, negative to some parsers", followedBy(0x3a, ...repeat(9, 0x80), 0x01)],
    ["a length of 2^64 - 1", followedBy(0x3a, ...repeat(9, 0xff), 0x01)],
    ["a length beyond the end in an unknown field", followedBy(0xa2, 0x06, 0x7f)],
    ["an unterminated tag", followedBy(0xff)],
    ["an unterminated integer", followedBy(0x08, 0xff)],
    ["an integer of eleven bytes", followedBy(0x08, ...repeat(10, 0xff), 0x01)],
    ["field number 0", followedBy(0x02, 0x00)],
    ["field number 2^29", followedBy(0x82, 0x80, 0x80, 0x80, 0x10, 0x00)],
    ["an opened group", followedBy(0x0b)],
    ["a closed group", followedBy(0x0c)],
    ["a balanced unknown group", followedBy(0xa3, 0x06, 0xa4, 0x06)],
    ["wire type 6", followedBy(0x0e)],
    ["wire type 7", followedBy(0x0f)],
    ["a string as an integer", followedBy(0x10, 0x01)],
    ["a message as an integer", followedBy(0x38, 0x01)],
    ["an integer as bytes", followedBy(0x0a, 0x01, 0x01)],
    ["an integer as 32 bits", followedBy(0x0d, 0, 0, 0, 0)],
    ["a name that is no UTF-8", followedBy(0x12, 0x01, 0xff)],
    ["a packed list that ends inside a float", followedBy(0x3a, 0x07, 0x2a, 0x05, 0x22, 0x03, 0, 0, 0)],
    ["a packed list that ends inside an integer", followedBy(0x3a, 0x05, 0x2a, 0x03, 0x0a, 0x01, 0x80)],
  ])("%s", (_title, bytes) => {
    expectCode(() => decodeModel(bytes), "QKV401");
  });

  test("anything fast-check makes of a valid file gives a model or a typed error", () => {
    const edits = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat(valid.length), (changes, cut) => {
        const bytes = Uint8Array.from(valid);
        for (const [at, byte] of changes) bytes[at] = byte;
        for (const candidate of [bytes, bytes.subarray(0, cut)]) {
          try {
            decodeModel(candidate);
          } catch (error) {
            expect(error).toBeInstanceOf(QkvError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("limits", () => {
  // Model 7 graph, graph 1 node, node 5 attribute, attribute 6 graph.
  const subgraphs = (depth: number) => nest([7, ...new Array<number[]>(depth).fill([1, 5, 6]).flat()]);

  test.each<[string, Uint8Array, string, DecodeOptions["limits"]]>([
    ["depth", subgraphs(34), "QKV408", {}],
    ["depth, without overflowing the stack", subgraphs(3000), "QKV408", {}],
    ["fields", valid, "QKV409", { fields: 5 }],
    [
      "numbers in lists",
      modelWithTensor({ dataType: 7, dims: [9n], int64Data: [1n, 2n] }),
      "QKV409",
      { listElements: 2 },
    ],
    ["unknown fields", followedBy(...repeat(10_001, 0xa0, 0x06, 0x01)), "QKV409", {}],
  ])("on %s", (_title, bytes, code, limits) => {
    expectCode(() => decodeModel(bytes, { limits: { ...limits } }), code);
  });

  test("unknown fields below the limit are counted and left out", () => {
    const { unknownFields, ...rest } = decodeModel(followedBy(...repeat(3, 0xa0, 0x06, 0x01)));
    expect(unknownFields).toBe(3);
    expect(rest).toEqual(decodeModel(valid));
  });
});

describe("incomplete models are refused", () => {
  test.each<[string, MessageInitShape<typeof ModelProtoSchema>, string]>([
    ["no graph", { irVersion: 10n, opsetImport }, "QKV402"],
    ["no IR version", { opsetImport, graph: {} }, "QKV402"],
    ["no operator set", { ...base, opsetImport: [] }, "QKV402"],
    [
      "an operator set twice",
      { ...base, opsetImport: [...opsetImport, { domain: "ai.onnx", version: 20n }] },
      "QKV402",
    ],
    ["an operator set without a version", { ...base, opsetImport: [{}] }, "QKV403"],
    ["a negative operator set", { ...base, opsetImport: [{ version: -1n }] }, "QKV403"],
    ["IR version 0", { ...base, irVersion: 0n }, "QKV403"],
    ["an operator set no one has seen yet", { ...base, opsetImport: [{ version: 99n }] }, "QKV403"],
    ["IR version 99", { ...base, irVersion: 99n }, "QKV403"],
    ["IR version -1", { ...base, irVersion: -1n }, "QKV403"],
    ["an input of element type 99", { ...base, graph: { input: [typed(99)] } }, "QKV405"],
    ["an input of element type 0", { ...base, graph: { input: [typed(0)] } }, "QKV405"],
  ])("%s", (_title, init, code) => {
    expectCode(() => decodeModel(bytesOf(init)), code);
  });
});

function typed(elemType: number) {
  return { name: "x", type: { value: { case: "tensorType" as const, value: { elemType } } } };
}

describe("tensors that contradict themselves are refused", () => {
  const raw = (length: number) => new Uint8Array(length);
  const location = [{ key: "location", value: "w" }];
  test.each<[string, MessageInitShape<typeof TensorProtoSchema>, string]>([
    ["no element type", { dims: [1n], rawData: raw(4) }, "QKV405"],
    ["element type 99", { dataType: 99, dims: [1n], rawData: raw(4) }, "QKV405"],
    ["a negative element type", { dataType: -1, dims: [1n], rawData: raw(4) }, "QKV405"],
    ["a negative extent", { dataType: 1, dims: [-4n], rawData: raw(4) }, "QKV406"],
    ["an extent of 2^62", { dataType: 1, dims: [2n ** 62n, 4n], rawData: raw(4) }, "QKV406"],
    ["a count beyond 2^53", { dataType: 1, dims: [2n ** 40n, 2n ** 40n], rawData: raw(4) }, "QKV406"],
    ["a size beyond 2^53", { dataType: 11, dims: [2n ** 52n], rawData: raw(4) }, "QKV406"],
    ["short raw data", { dataType: 1, dims: [2n], rawData: raw(4) }, "QKV404"],
    ["long raw data", { dataType: 1, dims: [2n], rawData: raw(12) }, "QKV404"],
    ["no data", { dataType: 1, dims: [2n] }, "QKV404"],
    ["a short list", { dataType: 1, dims: [2n], floatData: [1] }, "QKV404"],
    ["a long list", { dataType: 7, dims: [2n], int64Data: [1n, 2n, 3n] }, "QKV404"],
    ["a list of another type", { dataType: 1, dims: [1n], int32Data: [1] }, "QKV404"],
    ["two lists", { dataType: 1, dims: [1n], floatData: [1], int32Data: [1] }, "QKV404"],
    ["a list and raw data", { dataType: 1, dims: [1n], floatData: [1], rawData: raw(4) }, "QKV404"],
    [
      "raw data and external data",
      { dataType: 1, dims: [1n], rawData: raw(4), dataLocation: 1, externalData: location },
      "QKV404",
    ],
    ["strings in raw data", { dataType: 8, dims: [1n], rawData: raw(4) }, "QKV404"],
    ["too few strings", { dataType: 8, dims: [2n], stringData: [raw(1)] }, "QKV404"],
    ["strings in a float tensor", { dataType: 1, dims: [1n], rawData: raw(4), stringData: [raw(1)] }, "QKV404"],
    ["odd packing of 4-bit elements", { dataType: 21, dims: [3n], rawData: raw(1) }, "QKV404"],
    ["odd packing of 2-bit elements", { dataType: 26, dims: [5n], rawData: raw(1) }, "QKV404"],
    ["truth values that are neither", { dataType: 9, dims: [2n], rawData: Uint8Array.of(1, 2) }, "QKV404"],
    ["a segment", { dataType: 1, dims: [1n], rawData: raw(4), segment: { begin: 0n, end: 1n } }, "QKV404"],
    ["location 2", { dataType: 1, dims: [1n], rawData: raw(4), dataLocation: 2 }, "QKV404"],
    ["unused external data", { dataType: 1, dims: [1n], rawData: raw(4), externalData: location }, "QKV410"],
  ])("%s", (_title, init, code) => {
    expectCode(() => decodeModel(modelWithTensor(init)), code);
  });
});

test("listed values become little-endian bytes", () => {
  const bytes = (init: MessageInitShape<typeof TensorProtoSchema>) =>
    Array.from(decodeTensor(toBinary(TensorProtoSchema, create(TensorProtoSchema, init))).bytes as Uint8Array);
  expect(bytes({ dataType: 1, dims: [1n], floatData: [-0] })).toEqual([0, 0, 0, 0x80]);
  expect(bytes({ dataType: 14, dims: [1n], floatData: [1, 0] })).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0]);
  expect(bytes({ dataType: 6, dims: [1n], int32Data: [-2] })).toEqual([0xfe, 0xff, 0xff, 0xff]);
  expect(bytes({ dataType: 10, dims: [1n], int32Data: [0xbc00] })).toEqual([0, 0xbc]);
  expect(bytes({ dataType: 3, dims: [2n], int32Data: [-1, 1] })).toEqual([0xff, 1]);
  expect(bytes({ dataType: 12, dims: [1n], uint64Data: [2n ** 32n - 1n] })).toEqual([255, 255, 255, 255]);
  expect(bytes({ dataType: 13, dims: [1n], uint64Data: [2n ** 64n - 1n] })).toEqual(repeat(8, 255));
  expect(bytes({ dataType: 7, dims: [1n], int64Data: [-1n] })).toEqual(repeat(8, 255));
  expect(bytes({ dataType: 21, dims: [3n], int32Data: [0x21, 3] })).toEqual([0x21, 3]);
  expect(bytes({ dataType: 9, dims: [0n] })).toEqual([]);
});

describe("attributes that contradict themselves are refused", () => {
  test.each<[string, MessageInitShape<typeof AttributeProtoSchema>[]]>([
    ["no type", [{ name: "a", i: 1n }]],
    ["type 99", [{ name: "a", type: 99 }]],
    ["a type without a value", [{ name: "a", type: 2 }]],
    ["another type's value", [{ name: "a", type: 2, f: 1 }]],
    ["two values", [{ name: "a", type: 2, i: 1n, f: 1 }]],
    ["a value and a reference", [{ name: "a", type: 2, i: 1n, refAttrName: "b" }]],
    [
      "one name twice",
      [
        { name: "a", type: 2, i: 1n },
        { name: "a", type: 2, i: 2n },
      ],
    ],
  ])("%s", (_title, attributes) => {
    expectCode(() => decodeModel(modelWithAttributes(...attributes)), "QKV407");
  });
});

test("negative extents and empty names are unknown extents", () => {
  const dim = [
    { value: { case: "dimValue" as const, value: -1n } },
    { value: { case: "dimParam" as const, value: "" } },
    {},
    { value: { case: "dimValue" as const, value: 0n } },
  ];
  const value = { case: "tensorType" as const, value: { elemType: 1, shape: { dim } } };
  const { graph } = decodeModel(bytesOf({ ...base, graph: { input: [{ name: "x", type: { value } }] } }));
  expect(graph.inputs).toEqual([{ name: "x", dtype: "f32", shape: [null, null, null, 0] }]);
});

describe("model files", () => {
  const folder = mkdtempSync(join(tmpdir(), "qkv-decode-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("are read over a link, but pipes, devices, folders and missing files are refused", () => {
    const path = join(folder, "m.onnx");
    writeFileSync(path, valid);
    symlinkSync(path, join(folder, "link.onnx"));
    expect(readModel(join(folder, "link.onnx"))).toEqual(decodeModel(valid));
    execFileSync("mkfifo", [join(folder, "pipe")]);
    for (const bad of [join(folder, "pipe"), "/dev/zero", folder, join(folder, "missing")])
      expectCode(() => readModel(bad), "QKV413");
  });

  test("beyond the limit are not read", () => {
    const path = join(folder, "large.onnx");
    writeFileSync(path, valid);
    expectCode(() => readModel(path, { limits: { fileBytes: valid.length - 1 } }), "QKV409");
  });
});
