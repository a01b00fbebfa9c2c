import type { DType } from "../../ir/dtype.ts";
import type {
  DeviceConfigurationProto,
  NodeDeviceConfigurationProto,
  TrainingInfoProto,
  TypeProto,
} from "./proto/generated/onnx_pb.ts";

/** An element type of ours, or the ONNX code of one we do not compute with (see `elementTypes` in tensor-data.ts). */
export type OnnxDType = DType | number;

/** A fixed extent, the name of a symbolic one, or null where nothing is known. */
export type OnnxDim = number | string | null;

export type OnnxMetadata = ReadonlyMap<string, string>;

/**
 * An ONNX model. Not kept from a decoded file: denotations of types and dims, doc strings of attributes and tensors,
 * and fields this version of the format does not know (counted in `unknownFields`).
 */
export interface OnnxModel {
  readonly irVersion: number;
  readonly opsetImports: readonly OnnxOpset[];
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain?: string;
  readonly modelVersion?: bigint;
  readonly docString?: string;
  readonly metadata: OnnxMetadata;
  readonly graph: OnnxGraph;
  readonly functions?: readonly OnnxFunction[];
  readonly trainingInfo?: readonly TrainingInfoProto[];
  readonly deviceConfigurations?: readonly DeviceConfigurationProto[];
  /** Set by the decoder: how many unknown fields it left out. */
  readonly unknownFields?: number;
}

/** The standard operators have the empty domain; `ai.onnx` decodes to it. */
export interface OnnxOpset {
  readonly domain: string;
  readonly version: number;
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly valueInfo: readonly OnnxValueInfo[];
  readonly initializers: readonly OnnxTensor[];
  readonly docString?: string;
  readonly metadata?: OnnxMetadata;
  readonly sparseInitializers?: readonly OnnxSparseTensor[];
  /** Per tensor name: its quantization parameters by role. */
  readonly quantization?: readonly { readonly tensor: string; readonly parameters: OnnxMetadata }[];
}

/** The nodes of a graph, those of the graphs its nodes hold among them. */
export function* nodesWithin(graph: OnnxGraph): Generator<OnnxNode> {
  const pending = [graph];
  for (let level = pending.pop(); level; level = pending.pop())
    for (const node of level.nodes) {
      yield node;
      for (const { kind, value } of node.attributes.values()) {
        if (kind === "graph") pending.push(value);
        if (kind === "graphs") pending.push(...value);
      }
    }
}

/** How many there are of them. */
export const nodeCount = (graph: OnnxGraph): number => [...nodesWithin(graph)].length;

export interface OnnxNode {
  readonly opType: string;
  readonly domain: string;
  readonly name: string;
  /** Value names; the empty name stands for an omitted optional input or output. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
  readonly docString?: string;
  readonly metadata?: OnnxMetadata;
  /** Picks one of several functions of the same name. */
  readonly overload?: string;
  readonly deviceConfigurations?: readonly NodeDeviceConfigurationProto[];
}

/** A function local to the model; nodes call it by domain and name. */
export interface OnnxFunction {
  readonly name: string;
  readonly domain: string;
  readonly overload?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes every call must give. */
  readonly requiredAttributes: readonly string[];
  readonly attributeDefaults: ReadonlyMap<string, OnnxAttribute>;
  readonly opsetImports: readonly OnnxOpset[];
  readonly nodes: readonly OnnxNode[];
  readonly valueInfo: readonly OnnxValueInfo[];
  readonly docString?: string;
  readonly metadata?: OnnxMetadata;
}

/** An attribute's value. Integers decode as bigint; numbers are accepted for writing. Floats are rounded to float32. */
export type OnnxAttribute =
  | { readonly kind: "int"; readonly value: bigint | number }
  | { readonly kind: "ints"; readonly value: readonly (bigint | number)[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  /** String attributes whose bytes are no UTF-8. */
  | { readonly kind: "bytes"; readonly value: Uint8Array }
  | { readonly kind: "bytesList"; readonly value: readonly Uint8Array[] }
  | { readonly kind: "tensor"; readonly value: OnnxTensor }
  | { readonly kind: "tensors"; readonly value: readonly OnnxTensor[] }
  | { readonly kind: "graph"; readonly value: OnnxGraph }
  | { readonly kind: "graphs"; readonly value: readonly OnnxGraph[] }
  | { readonly kind: "sparseTensor"; readonly value: OnnxSparseTensor }
  | { readonly kind: "sparseTensors"; readonly value: readonly OnnxSparseTensor[] }
  | { readonly kind: "type"; readonly value: TypeProto }
  | { readonly kind: "types"; readonly value: readonly TypeProto[] }
  /** Inside functions: the value is that of the call's attribute of this name; `type` is the ONNX attribute type. */
  | { readonly kind: "reference"; readonly value: string; readonly type: number };

export interface OnnxTensor {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly dims: readonly number[];
  /** Row-major little-endian elements, any alignment; 4- and 2-bit elements packed low bits first. Empty for strings. */
  readonly bytes: Uint8Array | ExternalReference;
  /** The UTF-8 elements of a string tensor (element type 8). */
  readonly strings?: readonly Uint8Array[];
  readonly metadata?: OnnxMetadata;
}

/** Tensor data in another file. `location` is relative to the model's folder; offset and length are bytes. */
export interface ExternalReference {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
  readonly checksum?: string;
}

export const isExternal = (bytes: OnnxTensor["bytes"]): bytes is ExternalReference => !(bytes instanceof Uint8Array);

/** `values` at the positions `indices` (i64 [n] linear or [n, rank]) of a tensor of `dims`; zero elsewhere. */
export interface OnnxSparseTensor {
  readonly values: OnnxTensor;
  readonly indices: OnnxTensor;
  readonly dims: readonly number[];
}

export type OnnxValueInfo = OnnxTensorInfo | OnnxOpaqueInfo;

export interface OnnxTensorInfo {
  readonly name: string;
  readonly dtype: OnnxDType;
  /** Undefined where even the rank is unknown. */
  readonly shape: readonly OnnxDim[] | undefined;
  readonly docString?: string;
  readonly metadata?: OnnxMetadata;
}

/** A sequence, map, optional or sparse tensor, or a value of undeclared type (`type` undefined): passed through unread. */
export interface OnnxOpaqueInfo {
  readonly name: string;
  readonly type: TypeProto | undefined;
  readonly docString?: string;
  readonly metadata?: OnnxMetadata;
}

export const isTensorInfo = (info: OnnxValueInfo): info is OnnxTensorInfo => "dtype" in info;
