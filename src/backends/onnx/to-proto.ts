import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { assertNever, fail } from "../../ir/diagnostics.ts";
import { attributeTypes, maxGraphDepth } from "./attributes.ts";
import { checkLocation } from "./external-data.ts";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type FunctionProto,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type SparseTensorProto,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./proto/generated/onnx_pb.ts";
import {
  type ExternalReference,
  isExternal,
  isTensorInfo,
  type OnnxAttribute,
  type OnnxDim,
  type OnnxFunction,
  type OnnxGraph,
  type OnnxMetadata,
  type OnnxModel,
  type OnnxNode,
  type OnnxOpset,
  type OnnxSparseTensor,
  type OnnxTensor,
  type OnnxValueInfo,
} from "./schema.ts";
import { countElements, dtypeName, isStringType, onnxCode, storageBytes } from "./tensor-data.ts";

const utf8 = new TextEncoder();

/** The text itself. Throws QKV416 where it has half of a surrogate pair, which UTF-8 cannot say. */
function text(value: string, where: string): string {
  if (/\p{Surrogate}/u.test(value)) fail("QKV416", `${where} ${JSON.stringify(value)} is not valid Unicode`);
  return value;
}

function int64(value: bigint | number, where: string): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value))
    fail("QKV416", `${where} is ${value}, not an integer`, { help: "give integers beyond 2^53 as bigint" });
  const integer = BigInt(value);
  if (BigInt.asIntN(64, integer) !== integer) fail("QKV416", `${where} is ${integer}, beyond 64 bits`);
  return integer;
}

function float32(value: number, where: string): number {
  if (Number.isFinite(value) && !Number.isFinite(Math.fround(value)))
    fail("QKV416", `${where} is ${value}, beyond float32`);
  return Math.fround(value);
}

const texts = (values: readonly string[], where: string): string[] => values.map((value) => text(value, where));
const metadataProps = (metadata: OnnxMetadata | undefined, where: string) =>
  [...(metadata ?? [])].map(([key, value]) => ({
    key: text(key, `metadata of ${where}`),
    value: text(value, `metadata of ${where}`),
  }));
const opsetImports = (imports: readonly OnnxOpset[]) =>
  imports.map(({ domain, version }) => ({ domain, version: int64(version, `version of opset "${domain}"`) }));

/** Everything of the model but its graph. */
export function modelHead(model: OnnxModel): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: int64(model.irVersion, "IR version"),
    opsetImport: opsetImports(model.opsetImports),
    producerName: text(model.producerName, "producer"),
    producerVersion: text(model.producerVersion, "producer version"),
    domain: text(model.domain ?? "", "domain"),
    modelVersion: int64(model.modelVersion ?? 0n, "model version"),
    docString: text(model.docString ?? "", "doc string"),
    metadataProps: metadataProps(model.metadata, "the model"),
    functions: (model.functions ?? []).map(functionProto),
    trainingInfo: [...(model.trainingInfo ?? [])],
    configuration: [...(model.deviceConfigurations ?? [])],
  });
}

/** Everything of the graph but its initializers. `depth` counts the graphs around it. */
export function graphHead(graph: OnnxGraph, depth = 0): GraphProto {
  if (depth > maxGraphDepth) fail("QKV408", `graph "${graph.name}" is nested more than ${maxGraphDepth} deep`);
  const where = `graph "${graph.name}"`;
  return create(GraphProtoSchema, {
    name: text(graph.name, "graph name"),
    node: graph.nodes.map((node) => nodeProto(node, depth)),
    input: graph.inputs.map(valueInfoProto),
    output: graph.outputs.map(valueInfoProto),
    valueInfo: graph.valueInfo.map(valueInfoProto),
    docString: text(graph.docString ?? "", where),
    metadataProps: metadataProps(graph.metadata, where),
    sparseInitializer: (graph.sparseInitializers ?? []).map(sparseTensorProto),
    quantizationAnnotation: (graph.quantization ?? []).map(({ tensor, parameters }) => ({
      tensorName: text(tensor, where),
      quantParameterTensorNames: metadataProps(parameters, where),
    })),
  });
}

export function graphProto(graph: OnnxGraph, depth: number): GraphProto {
  const proto = graphHead(graph, depth);
  proto.initializer = graph.initializers.map(tensorProto);
  return proto;
}

function nodeProto(node: OnnxNode, depth: number): NodeProto {
  const where = `${node.opType} node "${node.name}"`;
  return create(NodeProtoSchema, {
    opType: text(node.opType, where),
    domain: text(node.domain, where),
    name: text(node.name, where),
    overload: text(node.overload ?? "", where),
    input: texts(node.inputs, where),
    output: texts(node.outputs, where),
    attribute: attributeProtos(node.attributes, where, depth),
    docString: text(node.docString ?? "", where),
    metadataProps: metadataProps(node.metadata, where),
    deviceConfigurations: [...(node.deviceConfigurations ?? [])],
  });
}

function functionProto(fn: OnnxFunction): FunctionProto {
  const where = `function "${fn.name}"`;
  return create(FunctionProtoSchema, {
    name: text(fn.name, where),
    domain: text(fn.domain, where),
    overload: text(fn.overload ?? "", where),
    input: texts(fn.inputs, where),
    output: texts(fn.outputs, where),
    attribute: texts(fn.requiredAttributes, where),
    attributeProto: attributeProtos(fn.attributeDefaults, where, 0),
    opsetImport: opsetImports(fn.opsetImports),
    node: fn.nodes.map((node) => nodeProto(node, 0)),
    valueInfo: fn.valueInfo.map(valueInfoProto),
    docString: text(fn.docString ?? "", where),
    metadataProps: metadataProps(fn.metadata, where),
  });
}

const attributeProtos = (attributes: ReadonlyMap<string, OnnxAttribute>, where: string, depth: number) =>
  [...attributes].map(([name, attribute]) => attributeProto(name, attribute, where, depth));

function attributeProto(name: string, attribute: OnnxAttribute, node: string, depth: number): AttributeProto {
  const where = `attribute "${name}" of ${node}`;
  const type = attribute.kind === "reference" ? attribute.type : attributeTypes[attribute.kind];
  return create(AttributeProtoSchema, {
    name: text(name, where),
    type,
    ...attributeValue(attribute, where, depth),
  });
}

function attributeValue(
  attribute: OnnxAttribute,
  where: string,
  depth: number,
): MessageInitShape<typeof AttributeProtoSchema> {
  switch (attribute.kind) {
    case "int":
      return { i: int64(attribute.value, where) };
    case "ints":
      return { ints: attribute.value.map((value) => int64(value, where)) };
    case "float":
      return { f: float32(attribute.value, where) };
    case "floats":
      return { floats: attribute.value.map((value) => float32(value, where)) };
    case "string":
      return { s: utf8.encode(text(attribute.value, where)) };
    case "strings":
      return { strings: attribute.value.map((value) => utf8.encode(text(value, where))) };
    case "bytes":
      return { s: Uint8Array.from(attribute.value) };
    case "bytesList":
      return { strings: attribute.value.map((value) => Uint8Array.from(value)) };
    case "tensor":
      return { t: tensorProto(attribute.value) };
    case "tensors":
      return { tensors: attribute.value.map(tensorProto) };
    case "graph":
      return { g: graphProto(attribute.value, depth + 1) };
    case "graphs":
      return { graphs: attribute.value.map((graph) => graphProto(graph, depth + 1)) };
    case "sparseTensor":
      return { sparseTensor: sparseTensorProto(attribute.value) };
    case "sparseTensors":
      return { sparseTensors: attribute.value.map(sparseTensorProto) };
    case "type":
      return { tp: attribute.value };
    case "types":
      return { typeProtos: [...attribute.value] };
    case "reference":
      return { refAttrName: text(attribute.value, where) };
    default:
      return assertNever(attribute);
  }
}

const tensorLabel = (tensor: OnnxTensor): string =>
  `tensor "${tensor.name}" (${dtypeName(tensor.dtype)}[${tensor.dims.join(", ")}])`;

/**
 * Everything of the tensor but bytes held in memory. Throws QKV404 where data and dims disagree, QKV405 and QKV406 for
 * bad types and dims, QKV410 for a reference to external data that a reader would refuse.
 */
export function tensorHead(tensor: OnnxTensor): TensorProto {
  const where = tensorLabel(tensor);
  const proto = create(TensorProtoSchema, {
    name: text(tensor.name, where),
    dataType: onnxCode(tensor.dtype),
    dims: tensor.dims.map((dim) => int64(dim, where)),
    metadataProps: metadataProps(tensor.metadata, where),
  });
  if (isStringType(tensor.dtype)) {
    const strings = tensor.strings ?? [];
    if (strings.length !== countElements(tensor.dims, where)) fail("QKV404", `${where} has ${strings.length} strings`);
    proto.stringData = strings.map((value) => Uint8Array.from(value));
    return proto;
  }
  const expected = storageBytes(tensor.dtype, tensor.dims, where);
  const given = isExternal(tensor.bytes) ? tensor.bytes.length : tensor.bytes.byteLength;
  if (given !== expected) fail("QKV404", `${where} takes ${expected} bytes, not ${given}`);
  if (isExternal(tensor.bytes)) setExternal(proto, tensor.bytes, where);
  return proto;
}

function setExternal(proto: TensorProto, reference: ExternalReference, where: string): void {
  checkLocation(reference.location, where);
  const entries = {
    location: reference.location,
    offset: reference.offset,
    length: reference.length,
    checksum: reference.checksum,
  };
  proto.dataLocation = 1;
  proto.externalData = Object.entries(entries).flatMap(([key, value]) =>
    value === undefined ? [] : [create(StringStringEntryProtoSchema, { key, value: `${value}` })],
  );
}

function tensorProto(tensor: OnnxTensor): TensorProto {
  const proto = tensorHead(tensor);
  if (inlineBytes(tensor) !== undefined) proto.rawData = inlineBytes(tensor) as Uint8Array<ArrayBuffer>;
  return proto;
}

/** The bytes that belong in the tensor's raw data, if it has any. */
export const inlineBytes = (tensor: OnnxTensor): Uint8Array | undefined =>
  isStringType(tensor.dtype) || isExternal(tensor.bytes) ? undefined : tensor.bytes;

function sparseTensorProto(sparse: OnnxSparseTensor): SparseTensorProto {
  return create(SparseTensorProtoSchema, {
    values: tensorProto(sparse.values),
    indices: tensorProto(sparse.indices),
    dims: sparse.dims.map((dim) => int64(dim, `sparse tensor "${sparse.values.name}"`)),
  });
}

function valueInfoProto(info: OnnxValueInfo): ValueInfoProto {
  const where = `value "${info.name}"`;
  const proto = create(ValueInfoProtoSchema, {
    name: text(info.name, where),
    docString: text(info.docString ?? "", where),
    metadataProps: metadataProps(info.metadata, where),
  });
  if (!isTensorInfo(info)) {
    if (info.type !== undefined) proto.type = info.type;
    return proto;
  }
  const value = create(TypeProto_TensorSchema, { elemType: onnxCode(info.dtype) });
  if (info.shape !== undefined) value.shape = shapeProto(info.shape, where);
  proto.type = create(TypeProtoSchema, { value: { case: "tensorType", value } });
  return proto;
}

const shapeProto = (shape: readonly OnnxDim[], where: string) =>
  create(TensorShapeProtoSchema, {
    dim: shape.map((dim) => {
      if (dim === null) return {};
      if (typeof dim === "string") return { value: { case: "dimParam" as const, value: text(dim, where) } };
      countElements([dim], where);
      return { value: { case: "dimValue" as const, value: BigInt(dim) } };
    }),
  });
