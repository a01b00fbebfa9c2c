import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type { OnnxModel, OnnxSparseTensor, OnnxTensor } from "../../src/backends/onnx/schema.ts";
import { graph, info, modelOf, node, numbers, roundTrip, tensor } from "./support.ts";

const values = tensor("w", "f32", [3], [1.5, -2, 0.25]);
const sparse = (indices: OnnxTensor, more: Partial<OnnxSparseTensor> = {}): OnnxSparseTensor => ({
  values,
  indices,
  dims: [2, 3],
  ...more,
});
const linear = tensor("", "i64", [3], [0, 2, 5]);
const places = tensor("", "i64", [3, 2], [0, 0, 0, 2, 1, 2]);

const io = [[info("x", "f32", [2, 3])], [info("y", "f32", [2, 3])]] as const;
const stored = (tensor: OnnxSparseTensor): OnnxModel =>
  modelOf({ ...graph([node("Mul", ["x", "w"], ["y"])], ...io), sparseInitializers: [tensor] });
const constant = (tensor: OnnxSparseTensor): OnnxModel =>
  modelOf(
    graph(
      [
        node("Constant", [], ["w"], { sparse_value: { kind: "sparseTensor", value: tensor } }),
        node("Mul", ["x", "w"], ["y"]),
      ],
      ...io,
    ),
  );

test.each([
  ["stored, indices of elements", stored(sparse(linear))],
  ["stored, indices per axis", stored(sparse(places))],
  ["a constant, indices of elements", constant(sparse(linear))],
  ["a constant, indices per axis", constant(sparse(places))],
])("sparse tensors are written out: %s", async (_, model) => {
  expect((await roundTrip(model, { x: numbers("f32", [2, 3]) })).opaque).toEqual([]);
});

test.each([
  ["out of order", sparse(tensor("", "i64", [3], [2, 0, 5])), "QKV404", "do not ascend"],
  ["twice the same", sparse(tensor("", "i64", [3], [0, 0, 5])), "QKV404", "do not ascend"],
  ["beyond the end", sparse(tensor("", "i64", [3], [0, 2, 6])), "QKV404", "the index 6"],
  ["negative", sparse(tensor("", "i64", [3], [-1, 2, 5])), "QKV404", "the index -1"],
  ["beyond an axis", sparse(tensor("", "i64", [3, 2], [0, 0, 0, 3, 1, 2])), "QKV404", "the index 3"],
  ["too few", sparse(tensor("", "i64", [2], [0, 2])), "QKV404", "3 values and indices i64[2]"],
  ["of another rank", sparse(tensor("", "i64", [3, 3], [0, 0, 0, 0, 0, 1, 0, 0, 2])), "QKV404", "indices i64[3, 3]"],
  ["of floats", sparse(tensor("", "f32", [3], [0, 2, 5])), "QKV404", "indices f32[3]"],
  ["of a matrix", sparse(linear, { values: tensor("w", "f32", [3, 1], [1, 2, 3]) }), "QKV404", "2 axes, not 1"],
  ["of dims without end", sparse(linear, { dims: [2 ** 20, 2 ** 20] }), "QKV409", "more than 2147483648 bytes"],
] as const)("sparse tensors that are none are refused: indices %s", (_, tensor, code, message) => {
  for (const model of [stored(tensor), constant(tensor)])
    expect(() => importModel(model)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
});
