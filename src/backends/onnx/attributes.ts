import type { OnnxAttribute } from "./schema.ts";

/** The code ONNX gives each kind of attribute. References carry the code of what they refer to. */
export const attributeTypes: Readonly<Record<Exclude<OnnxAttribute["kind"], "reference">, number>> = {
  float: 1,
  int: 2,
  string: 3,
  bytes: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  bytesList: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  type: 13,
  types: 14,
};

/** Graphs within graphs. Each costs three protobuf messages, and parsers stop at a hundred. */
export const maxGraphDepth = 30;
