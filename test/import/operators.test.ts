import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { conversionOf } from "../../src/backends/onnx/import/operators.ts";
import type { OnnxAttribute } from "../../src/backends/onnx/schema.ts";
import type { HostTensor } from "../../src/ir/tensor.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { showType } from "../../src/ir/types.ts";
import { graph, info, int, ints, modelOf, node, numbers, roundTrip, tensor } from "./support.ts";

const float = (value: number): OnnxAttribute => ({ kind: "float", value });

interface OldCase {
  readonly opType: string;
  readonly opset: number;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** Names of operands; the inputs, where it is left out. */
  readonly operands?: readonly string[];
  readonly stored?: readonly ReturnType<typeof tensor>[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

const x = (...dims: number[]) => ({ x: numbers("f32", dims) });
const stored = (name: string, dims: readonly number[], ...values: number[]) => tensor(name, "f32", dims, values);

/** Operators as old files have them: attributes that became operands, and defaults that changed. */
const old: readonly OldCase[] = [
  {
    opType: "Upsample",
    opset: 7,
    inputs: x(1, 2, 3, 5),
    attributes: { scales: { kind: "floats", value: [1, 1, 2, 3] } },
  },
  { opType: "Upsample", opset: 9, inputs: x(1, 2, 3, 5), operands: ["x", "s"], stored: [stored("s", [4], 1, 1, 2, 3)] },
  { opType: "Softmax", opset: 11, inputs: x(2, 3, 5) },
  { opType: "LogSoftmax", opset: 11, inputs: x(2, 3, 5), attributes: { axis: int(0) } },
  { opType: "Hardmax", opset: 11, inputs: x(2, 3, 5) },
  { opType: "Clip", opset: 7, inputs: x(7), attributes: { min: float(-0.5), max: float(0.5) } },
  { opType: "Pad", opset: 7, inputs: x(2, 3), attributes: { pads: ints(1, 0, 0, 2), value: float(7) } },
  { opType: "Slice", opset: 9, inputs: x(4, 5), attributes: { starts: ints(1, -3), ends: ints(9, -1) } },
  { opType: "ReduceSum", opset: 11, inputs: x(2, 3, 5), attributes: { axes: ints(0, -1), keepdims: int(0) } },
  { opType: "Squeeze", opset: 11, inputs: x(2, 1, 5), attributes: { axes: ints(-2) } },
  { opType: "Unsqueeze", opset: 11, inputs: x(2, 5), attributes: { axes: ints(0, 2) } },
  {
    opType: "Scatter",
    opset: 9,
    inputs: { ...x(3, 5), at: fromNumbers("i64", [2, 2], [1, 0, 2, 1]), by: numbers("f32", [2, 2]) },
    attributes: { axis: int(1) },
  },
  {
    opType: "BatchNormalization",
    opset: 7,
    inputs: x(2, 2, 3),
    operands: ["x", "s", "b", "m", "v"],
    stored: [stored("s", [2], 2, 3), stored("b", [2], 1, -1), stored("m", [2], 0.5, 0.25), stored("v", [2], 2, 0.5)],
  },
];

test("what other domains call by a name of the standard is another operator", () => {
  const made = node("Neg", ["x"], ["y"], {}, "elsewhere");
  const conv = node("Conv", ["x", "x"], ["y"], {}, "elsewhere");
  for (const one of [made, conv]) {
    const model = modelOf(graph([one], [info("x", "f32", [1, 1, 3])], [info("y", "f32", undefined)]));
    const opsetImports = [...model.opsetImports, { domain: "elsewhere", version: 1 }];
    expect(() => importModel({ ...model, opsetImports })).toThrow(/has no type of ours/);
  }
});

/** Sizes that types of kept operators claim are what the runtime gives. */
test.each([
  ["all axes of a product", node("ReduceProd", ["x"], ["y"], { keepdims: int(0) })],
  ["no axis of a product", node("ReduceProd", ["x", "none"], ["y"], { noop_with_empty_axes: int(1) })],
  ["an empty list of axes", node("ReduceProd", ["x", "none"], ["y"])],
  [
    "the last of the largest",
    node("ArgMax", ["x"], ["y"], { axis: int(1), keepdims: int(0), select_last_index: int(1) }),
  ],
])("%s", async (_, made) => {
  const none = tensor("none", "i64", [0], []);
  const output = { name: "y", type: undefined };
  const imported = await roundTrip(modelOf(graph([made], [info("x", "f32", [2, 3])], [output], [none])), x(2, 3));
  expect(imported.opaque).toHaveLength(1);
});

test.each(old)(
  "$opType of opset $opset",
  async ({ opType, opset, inputs, operands, stored: kept = [], attributes = {} }) => {
    expect(conversionOf("", opType)).toBeDefined();
    const infos = Object.entries(inputs).map(([name, { dtype, dims }]) => info(name, dtype, dims));
    const made = node(opType, operands ?? Object.keys(inputs), ["y"], attributes);
    const model = modelOf(graph([made], infos, [info("y", "f32", undefined)], kept), opset);
    const { opaque } = await roundTrip({ ...model, irVersion: 4 }, inputs);
    expect(opaque).toEqual([]);
  },
);

test.each([
  ["Relu", "relu", 0],
  ["Tanh", "tanh", 0],
  ["Sigmoid", "sigmoid", 0],
  ["LeakyRelu", undefined, 1],
] as const)("a product fused with %s", async (activation, op, kept) => {
  const attributes = {
    activation: { kind: "string", value: activation },
    transB: int(1),
    alpha: float(0.5),
    activation_alpha: float(0.25),
    beta: float(2),
  } as const;
  const made = node("FusedGemm", ["x", "w", "bias"], ["y"], attributes, "com.microsoft");
  const constants = [stored("w", [2, 3], 1, -2, 3, 0.5, -1, 2), stored("bias", [2], 0.25, -3)];
  const model = modelOf(graph([made], [info("x", "f32", ["n", 3])], [info("y", "f32", ["n", 2])], constants));
  const { opaque, graph: imported } = await roundTrip(model, x(5, 3));
  expect(opaque).toHaveLength(kept);
  if (op) expect(imported.outputs[0]!.value.node.op).toBe(op);
});

test("the largest of what zeros are put around stays that, at every level of the runtime", async () => {
  const pads = tensor("pads", "i64", [8], [0, 0, 1, 1, 0, 0, 1, 1]);
  const nodes = [
    node("Pad", ["x", "pads"], ["padded"]),
    node("MaxPool", ["padded"], ["y"], { kernel_shape: ints(3, 3), strides: ints(2, 2) }),
  ];
  const model = modelOf(graph(nodes, [info("x", "f32", ["n", 2, 8, 8])], [info("y", "f32", undefined)], [pads]));
  const below = Array.from({ length: 256 }, (_, i) => -1 - (i % 7));
  const { opaque } = await roundTrip(model, { x: fromNumbers("f32", [2, 2, 8, 8], below) });
  expect(opaque.map(({ operator }) => operator)).toEqual(["MaxPool"]);
});

test.each([
  ["factors", ["x", "", "factors"], "f32[n, 2, 2*h, floor(w/2)]"],
  ["factors that are not whole", ["x", "", "odd"], "f32[n, 2, y.2, y.3]"],
  ["sizes", ["x", "", "", "sizes"], "f32[n, 2, h, 3]"],
] as const)("what becomes of the axes of an image follows from %s", async (_, inputs, type) => {
  const nodes = [
    node("Shape", ["x"], ["whole"]),
    node("Slice", ["whole", "zero", "three"], ["first"]),
    node("Concat", ["first", "three"], ["sizes"], { axis: int(0) }),
    node("Resize", inputs, ["y"], { mode: { kind: "string", value: "nearest" } }),
  ];
  const constants = [
    tensor("factors", "f32", [4], [1, 1, 2, 0.5]),
    tensor("odd", "f32", [4], [1, 1, 1.3, 0.7]),
    tensor("zero", "i64", [1], [0]),
    tensor("three", "i64", [1], [3]),
  ];
  const model = modelOf(graph(nodes, [info("x", "f32", ["n", 2, "h", "w"])], [info("y", "f32", undefined)], constants));
  const { graph: imported } = await roundTrip(model, x(1, 2, 4, 6), x(3, 2, 5, 7));
  expect(showType(imported.outputs[0]!.value.type).replaceAll(/y\.0?\.?(\d)\w*/g, "y.$1")).toBe(type);
});
