import { existsSync, readdirSync, readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { simplify } from "onnxsim";
import { describe, expect, test } from "vitest";
import { decodeModel, readModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { TypeProtoSchema } from "../../../src/backends/onnx/proto/generated/onnx_pb.ts";
import type { OnnxAttribute, OnnxModel, OnnxTensor } from "../../../src/backends/onnx/schema.ts";
import { elementTypes, storageBytes } from "../../../src/backends/onnx/tensor-data.ts";
import { addModel, expectCode, fixtures, fixtureTensors, graph, model, node, tensor } from "./sample-models.ts";

const roundTrip = (value: OnnxModel) => decodeModel(encodeModel(value).model);
const attribute = (value: OnnxAttribute) =>
  model({ nodes: [{ ...node("Op", [], []), attributes: new Map([["a", value]]) }] });
const exportsFolder = new URL("exports/", fixtures);
const nodesFolder = new URL("onnx-node/", fixtures);

async function run(bytes: Uint8Array, inputs: URL): Promise<Map<string, unknown>> {
  const session = await InferenceSession.create(bytes);
  const feeds: Record<string, Tensor> = {};
  for (const [name, { type, dims, bytes: data }] of fixtureTensors(inputs, "in.")) {
    const { buffer } = Uint8Array.from(data);
    feeds[name] =
      type === "I64"
        ? new Tensor("int64", new BigInt64Array(buffer), dims)
        : new Tensor("float32", new Float32Array(buffer), dims);
  }
  const results = await session.run(feeds);
  await session.release();
  return new Map(Object.entries(results).map(([name, { dims, data }]) => [name, { dims, data }]));
}

describe.skipIf(!existsSync(exportsFolder))("models PyTorch exported (needs the shared fixtures)", () => {
  const files = existsSync(exportsFolder) ? readdirSync(exportsFolder).filter((name) => name.endsWith(".onnx")) : [];
  test.each(files)("%s keeps its structure and its outputs", async (file) => {
    const path = new URL(file, exportsFolder);
    const original = readModel(path.pathname);
    const { model: bytes } = encodeModel(original);
    expect(decodeModel(bytes)).toEqual(original);
    const inputs = new URL(file.replace(".onnx", ".safetensors"), exportsFolder);
    expect(await run(bytes, inputs)).toEqual(await run(readFileSync(path), inputs));
  });
});

describe.skipIf(!existsSync(nodesFolder))("the node tests of ONNX (needs the shared fixtures)", () => {
  test("all decode, encode and decode to the same model", () => {
    for (const name of readdirSync(nodesFolder)) {
      const original = readModel(new URL(`${name}/model.onnx`, nodesFolder).pathname);
      expect(roundTrip(original), name).toEqual(original);
    }
  });

  test("a sample loads in the runtime exactly where the original does", async () => {
    const loads = (bytes: Uint8Array) =>
      InferenceSession.create(bytes, { logSeverityLevel: 4 }).then(
        (session) => session.release().then(() => true),
        () => false,
      );
    const sample = readdirSync(nodesFolder).filter((_, i) => i % 10 === 0);
    for (const name of sample) {
      const bytes = readFileSync(new URL(`${name}/model.onnx`, nodesFolder));
      expect(await loads(encodeModel(decodeModel(bytes)).model), name).toBe(await loads(bytes));
    }
  });
});

test("the ONNX checker accepts an encoded model, and the runtime computes it", async () => {
  const { model: bytes } = encodeModel(addModel(17));
  const { model: checked } = await simplify(bytes);
  expect(decodeModel(checked).graph.nodes.map(({ opType }) => opType)).toEqual(["Add"]);
  const session = await InferenceSession.create(bytes);
  const { y } = await session.run({ x: new Tensor("float32", new Float32Array(34).fill(1), [2, 17]) });
  expect(Array.from(y?.data as Float32Array).slice(17)).toEqual(Array.from({ length: 17 }, (_, i) => i + 1));
});

test("equal models encode to equal bytes", () => {
  expect(encodeModel(addModel(65)).model).toEqual(encodeModel(addModel(65)).model);
  expect(encodeModel(roundTrip(addModel(65))).model).toEqual(encodeModel(addModel(65)).model);
});

test("inputs named like properties of objects survive", () => {
  const names = ["__proto__", "constructor", "toString", "", "日本 🙂", "a\u0000b"];
  const inputs = names.map((name) => ({ name, dtype: "f32" as const, shape: undefined }));
  expect(roundTrip(model({ inputs })).graph.inputs).toEqual(inputs);
});

test("everything a model can hold survives", () => {
  const sequence = create(TypeProtoSchema, {
    value: { case: "sequenceType", value: { elemType: { value: { case: "tensorType", value: { elemType: 1 } } } } },
  });
  const meta = { docString: "d", metadata: new Map([["k", "v"]]) };
  const full: OnnxModel = {
    ...model({
      ...meta,
      nodes: [{ ...node("F", ["x", ""], ["y"]), ...meta, domain: "my", overload: "o" }],
      inputs: [
        { name: "x", dtype: "bf16", shape: ["batch", 3, null], ...meta },
        { name: "scalar", dtype: 17, shape: [] },
        { name: "s", type: sequence },
      ],
      valueInfo: [{ name: "untyped", type: undefined }],
      initializers: [
        { ...tensor("w", "i64", [2], [-1, 2]), metadata: new Map([["k", "v"]]) },
        {
          name: "t",
          dtype: 8,
          dims: [2],
          bytes: new Uint8Array(0),
          strings: [Buffer.from("a"), Buffer.of(255)].map((b) => Uint8Array.from(b)),
        },
      ],
      sparseInitializers: [{ values: tensor("v", "f32", [1], [3]), indices: tensor("", "i64", [1], [4]), dims: [5] }],
      quantization: [{ tensor: "w", parameters: new Map([["SCALE_TENSOR", "s"]]) }],
    }),
    domain: "org.example",
    modelVersion: -1n,
    docString: "<script>",
    opsetImports: [
      { domain: "", version: 21 },
      { domain: "my", version: 1 },
    ],
    functions: [
      {
        name: "F",
        domain: "my",
        overload: "o",
        inputs: ["a"],
        outputs: ["b"],
        requiredAttributes: ["axis"],
        attributeDefaults: new Map([["alpha", { kind: "float", value: 0.5 }]]),
        opsetImports: [{ domain: "", version: 21 }],
        nodes: [
          {
            ...node("Softmax", ["a"], ["b"]),
            attributes: new Map([["axis", { kind: "reference", value: "axis", type: 2 }]]),
          },
        ],
        valueInfo: [],
      },
    ],
  };
  expect(roundTrip(full)).toEqual(full);
});

const values: readonly OnnxAttribute[] = [
  { kind: "int", value: 0n },
  { kind: "int", value: -(2n ** 63n) },
  { kind: "ints", value: [2n ** 63n - 1n, -1n, 0n] },
  { kind: "ints", value: [] },
  { kind: "float", value: 0 },
  { kind: "float", value: -0 },
  { kind: "floats", value: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5, -0] },
  { kind: "string", value: "" },
  { kind: "string", value: "\ufeffübung" },
  { kind: "strings", value: ["", "a", ""] },
  { kind: "bytes", value: Uint8Array.of(0xff, 0) },
  { kind: "bytesList", value: [Uint8Array.of(0xff), Uint8Array.of(65)] },
  { kind: "tensor", value: tensor("t", "f16", [1, 3], [1, 2, 3]) },
  { kind: "tensors", value: [tensor("", "bool", [], [1])] },
  { kind: "graph", value: graph({ initializers: [tensor("w", "f64", [15], new Array(15).fill(0.1))] }) },
  { kind: "graphs", value: [graph({}), graph({ name: "h" })] },
  {
    kind: "sparseTensor",
    value: { values: tensor("", "f32", [0], []), indices: tensor("", "i64", [0], []), dims: [3] },
  },
  { kind: "sparseTensors", value: [] },
  {
    kind: "type",
    value: create(TypeProtoSchema, { value: { case: "opaqueType", value: { domain: "d", name: "n" } } }),
  },
  { kind: "types", value: [create(TypeProtoSchema, {})] },
];

test.each(values.map((value) => [value.kind, value] as const))("a %s attribute survives", (_kind, value) => {
  expect(roundTrip(attribute(value)).graph.nodes[0]?.attributes.get("a")).toEqual(value);
});

test("plain numbers are written as integers, floats are rounded to float32", () => {
  expect(roundTrip(attribute({ kind: "int", value: -7 }))).toEqual(attribute({ kind: "int", value: -7n }));
  expect(roundTrip(attribute({ kind: "float", value: 0.1 }))).toEqual(
    attribute({ kind: "float", value: Math.fround(0.1) }),
  );
});

test.each([0, 1, 15, 17, 31, 33, 64, 65])("tensors of %i elements survive in every element type", (size) => {
  const initializers = [...elementTypes].map(([code, { dtype }]): OnnxTensor => {
    const byteLength = storageBytes(code, [size], "");
    const bytes = Uint8Array.from({ length: byteLength }, (_, i) => (dtype === "bool" ? i % 2 : i + code));
    return { name: `t${code}`, dtype: dtype ?? code, dims: [size], bytes };
  });
  expect(roundTrip(model({ initializers })).graph.initializers).toEqual(initializers);
});

test("a chain of 100,000 nodes survives", () => {
  const nodes = Array.from({ length: 100_000 }, (_, i) => node("Relu", [`v${i}`], [`v${i + 1}`]));
  expect(roundTrip(model({ nodes })).graph.nodes.length).toBe(nodes.length);
});

describe("refuses", () => {
  const nested = (depth: number) => {
    let inner = graph({});
    for (let i = 0; i < depth; i++)
      inner = graph({
        nodes: [{ ...node("If", [], []), attributes: new Map([["b", { kind: "graph", value: inner }]]) }],
      });
    return model({ nodes: inner.nodes });
  };
  const withTensor = (parts: Partial<OnnxTensor>) =>
    model({ initializers: [{ ...tensor("w", "f32", [2], [1, 2]), ...parts }] });

  test("graphs nested more than 30 deep, and reads back 30", () => {
    expect(roundTrip(nested(30))).toEqual(nested(30));
    expectCode(() => encodeModel(nested(31)), "QKV408");
  });

  test.each<[string, OnnxModel, string]>([
    ["half a surrogate pair", model({ name: "a\ud800" }), "QKV416"],
    ["an integer beyond 64 bits", attribute({ kind: "int", value: 2n ** 63n }), "QKV416"],
    ["a number that is no exact integer", attribute({ kind: "ints", value: [2 ** 53] }), "QKV416"],
    ["a fraction as an integer", attribute({ kind: "int", value: 1.5 }), "QKV416"],
    ["a float beyond float32", attribute({ kind: "float", value: 1e39 }), "QKV416"],
    ["too few bytes", withTensor({ dims: [3] }), "QKV404"],
    ["too many bytes", withTensor({ dims: [1] }), "QKV404"],
    ["a negative extent", withTensor({ dims: [-1] }), "QKV406"],
    ["an overflowing extent", withTensor({ dims: [2 ** 40, 2 ** 40] }), "QKV406"],
    ["an unknown element type", withTensor({ dtype: 99 }), "QKV405"],
    ["missing strings", withTensor({ dtype: 8 }), "QKV404"],
    ["a reference out of the folder", withTensor({ bytes: { location: "../w", offset: 0, length: 8 } }), "QKV410"],
    ["a fractional extent of an input", model({ inputs: [{ name: "x", dtype: "f32", shape: [0.5] }] }), "QKV406"],
  ])("%s", (_title, wrong, code) => {
    expectCode(() => encodeModel(wrong), code);
  });

  test("more than 2 GiB in one file, before copying anything", () => {
    // Zeroed pages that nothing touches cost no memory.
    const half = new Uint8Array(2 ** 30);
    const initializers = ["a", "b"].map((name): OnnxTensor => ({ name, dtype: "u8", dims: [2 ** 30], bytes: half }));
    const inline = { externalDataLimit: Number.POSITIVE_INFINITY };
    expectCode(() => encodeModel(model({ initializers }), inline), "QKV414");
    expect(encodeModel(model({ initializers })).external?.byteLength).toBe(2 ** 31);
  });
});
