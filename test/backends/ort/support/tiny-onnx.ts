// A minimal writer of ONNX protobuf, so that these tests stand on the format alone.

import type { DType } from "../../../../src/ir/dtype.ts";
import { type HostTensor, tensorBytes } from "../../../../src/ir/tensor.ts";

const elementTypes: Record<DType, number> = {
  f32: 1,
  u8: 2,
  i8: 3,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  bf16: 16,
};

const varint = (value: number | bigint): number[] => {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return bytes;
};

const number = (field: number, value: number | bigint): Buffer => Buffer.from([...varint(field * 8), ...varint(value)]);
const bytes = (field: number, content: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(content.length)]), content]);
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value));
const float = (field: number, value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return Buffer.concat([Buffer.from(varint(field * 8 + 5)), buffer]);
};

export interface TinyValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

export type TinyAttribute =
  | { readonly float: number }
  | { readonly int: number }
  | { readonly ints: readonly number[] };

export interface TinyNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: ReadonlyMap<string, TinyAttribute>;
}

export interface TinyModel {
  readonly inputs: readonly TinyValue[];
  readonly outputs: readonly TinyValue[];
  readonly nodes: readonly TinyNode[];
  readonly weights?: ReadonlyMap<string, HostTensor>;
  readonly opset?: number;
}

const value = ({ name, dtype, shape }: TinyValue): Buffer => {
  const dims = shape.map((dim) => bytes(1, typeof dim === "number" ? number(1, dim) : text(2, dim)));
  const tensor = Buffer.concat([number(1, elementTypes[dtype]), bytes(2, Buffer.concat(dims))]);
  return Buffer.concat([text(1, name), bytes(2, bytes(1, tensor))]);
};

const attribute = ([name, given]: readonly [string, TinyAttribute]): Buffer => {
  if ("float" in given) return Buffer.concat([text(1, name), float(2, given.float), number(20, 1)]);
  if ("int" in given) return Buffer.concat([text(1, name), number(3, given.int), number(20, 2)]);
  return Buffer.concat([text(1, name), ...given.ints.map((int) => number(8, int)), number(20, 7)]);
};

const node = ({ op, inputs, outputs, name = "", domain = "", attributes = new Map() }: TinyNode): Buffer =>
  Buffer.concat([
    ...inputs.map((input) => text(1, input)),
    ...outputs.map((output) => text(2, output)),
    text(3, name),
    text(4, op),
    ...[...attributes].map((entry) => bytes(5, attribute(entry))),
    text(7, domain),
  ]);

const weight = ([name, tensor]: readonly [string, HostTensor]): Buffer =>
  Buffer.concat([
    ...tensor.dims.map((dim) => number(1, dim)),
    number(2, elementTypes[tensor.dtype]),
    text(8, name),
    bytes(9, tensorBytes(tensor)),
  ]);

const opsetImport = (domain: string, version: number): Buffer =>
  bytes(8, Buffer.concat([text(1, domain), number(2, version)]));

export function tinyModel({ inputs, outputs, nodes, weights = new Map(), opset = 21 }: TinyModel): Uint8Array {
  const graph = Buffer.concat([
    ...nodes.map((each) => bytes(1, node(each))),
    text(2, "tiny"),
    ...[...weights].map((entry) => bytes(5, weight(entry))),
    ...inputs.map((each) => bytes(11, value(each))),
    ...outputs.map((each) => bytes(12, value(each))),
  ]);
  const imports = [opsetImport("", opset), opsetImport("com.microsoft", 1)];
  return new Uint8Array(Buffer.concat([number(1, 10), bytes(7, graph), ...imports]));
}

/** One input and one output through one op. */
export const unary = (op: string, dtype: DType, shape: readonly (number | string)[], outputType = dtype): Uint8Array =>
  tinyModel({
    inputs: [{ name: "x", dtype, shape }],
    outputs: [{ name: "y", dtype: outputType, shape }],
    nodes: [{ op, inputs: ["x"], outputs: ["y"] }],
  });
