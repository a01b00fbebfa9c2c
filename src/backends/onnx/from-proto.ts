import { fail } from "../../ir/diagnostics.ts";
import { attributeTypes, maxGraphDepth } from "./attributes.ts";
import { parseReference } from "./external-data.ts";
import { newestOpset } from "./opsets.ts";
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  SparseTensorProto,
  StringStringEntryProto,
  TensorProto,
  TensorShapeProto,
  ValueInfoProto,
} from "./proto/generated/onnx_pb.ts";
import type {
  ExternalReference,
  OnnxAttribute,
  OnnxDim,
  OnnxDType,
  OnnxFunction,
  OnnxGraph,
  OnnxMetadata,
  OnnxModel,
  OnnxNode,
  OnnxOpset,
  OnnxSparseTensor,
  OnnxTensor,
  OnnxValueInfo,
} from "./schema.ts";
import { countElements, dtypeName, dtypeOf, isStringType, listedBytes, storageBytes } from "./tensor-data.ts";

/** Turns a reference to external data into what the tensor is to hold: its bytes, or the reference itself. */
export type ResolveExternal = (reference: ExternalReference, where: string) => OnnxTensor["bytes"];

const minIrVersion = 3n;
const maxIrVersion = 14n;

/**
 * Throws QKV402 for missing parts, QKV403 for versions of the format we do not know, and what its parts throw:
 * QKV404 to QKV408, QKV410, and the errors of `resolve`.
 */
export function modelFromProto(proto: ModelProto, resolve: ResolveExternal): OnnxModel {
  const { irVersion, graph } = proto;
  if (graph === undefined) fail("QKV402", "the model has no graph");
  if (irVersion === undefined) fail("QKV402", "the model does not say its IR version");
  if (irVersion < minIrVersion || irVersion > maxIrVersion)
    fail("QKV403", `IR version ${irVersion}; versions ${minIrVersion} to ${maxIrVersion} can be read`);
  if (proto.opsetImport.length === 0) fail("QKV402", "the model imports no operator set");
  return {
    irVersion: Number(irVersion),
    opsetImports: opsets(proto.opsetImport, "the model"),
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    ...(proto.domain !== "" && { domain: proto.domain }),
    ...(proto.modelVersion !== 0n && { modelVersion: proto.modelVersion }),
    ...doc(proto),
    metadata: entries(proto.metadataProps),
    graph: graphFromProto(graph, resolve, 0),
    ...(proto.functions.length > 0 && { functions: proto.functions.map((fn) => functionFromProto(fn, resolve)) }),
    ...(proto.trainingInfo.length > 0 && { trainingInfo: proto.trainingInfo }),
    ...(proto.configuration.length > 0 && { deviceConfigurations: proto.configuration }),
  };
}

const entries = (props: readonly StringStringEntryProto[]): OnnxMetadata =>
  new Map(props.map(({ key, value }) => [key, value]));
const doc = ({ docString }: { readonly docString: string }) => (docString === "" ? {} : { docString });
const meta = ({ metadataProps }: { readonly metadataProps: readonly StringStringEntryProto[] }) =>
  metadataProps.length === 0 ? {} : { metadata: entries(metadataProps) };
/** The standard operators go by two names. */
const standardDomain = (domain: string): string => (domain === "ai.onnx" ? "" : domain);

function opsets(imports: readonly OperatorSetIdProto[], where: string): OnnxOpset[] {
  const seen = new Set<string>();
  return imports.map(({ domain: written, version }) => {
    const domain = standardDomain(written);
    const number = Number(version ?? 0n);
    if (number < 1 || number > 2 ** 31) fail("QKV403", `${where} imports version ${version} of "${domain}"`);
    if (domain === "" && number > newestOpset)
      fail("QKV403", `${where} imports opset ${version}; versions up to ${newestOpset} can be read`);
    if (seen.has(domain)) fail("QKV402", `${where} imports the operators of "${domain}" twice`);
    seen.add(domain);
    return { domain, version: number };
  });
}

export function graphFromProto(proto: GraphProto, resolve: ResolveExternal, depth: number): OnnxGraph {
  if (depth > maxGraphDepth) fail("QKV408", `graph "${proto.name}" is nested more than ${maxGraphDepth} deep`);
  return {
    name: proto.name,
    nodes: proto.node.map((node) => nodeFromProto(node, resolve, depth)),
    inputs: proto.input.map(valueInfoFromProto),
    outputs: proto.output.map(valueInfoFromProto),
    valueInfo: proto.valueInfo.map(valueInfoFromProto),
    initializers: proto.initializer.map((tensor) => tensorFromProto(tensor, resolve)),
    ...doc(proto),
    ...meta(proto),
    ...(proto.sparseInitializer.length > 0 && {
      sparseInitializers: proto.sparseInitializer.map((sparse) => sparseFromProto(sparse, resolve)),
    }),
    ...(proto.quantizationAnnotation.length > 0 && {
      quantization: proto.quantizationAnnotation.map(({ tensorName, quantParameterTensorNames }) => ({
        tensor: tensorName,
        parameters: entries(quantParameterTensorNames),
      })),
    }),
  };
}

function nodeFromProto(proto: NodeProto, resolve: ResolveExternal, depth: number): OnnxNode {
  return {
    opType: proto.opType,
    domain: standardDomain(proto.domain),
    name: proto.name,
    inputs: proto.input,
    outputs: proto.output,
    attributes: attributes(proto.attribute, `${proto.opType} node "${proto.name}"`, resolve, depth),
    ...doc(proto),
    ...meta(proto),
    ...(proto.overload !== "" && { overload: proto.overload }),
    ...(proto.deviceConfigurations.length > 0 && { deviceConfigurations: proto.deviceConfigurations }),
  };
}

function functionFromProto(proto: FunctionProto, resolve: ResolveExternal): OnnxFunction {
  const where = `function "${proto.name}"`;
  return {
    name: proto.name,
    domain: standardDomain(proto.domain),
    ...(proto.overload !== "" && { overload: proto.overload }),
    inputs: proto.input,
    outputs: proto.output,
    requiredAttributes: proto.attribute,
    attributeDefaults: attributes(proto.attributeProto, where, resolve, 0),
    opsetImports: opsets(proto.opsetImport, where),
    nodes: proto.node.map((node) => nodeFromProto(node, resolve, 0)),
    valueInfo: proto.valueInfo.map(valueInfoFromProto),
    ...doc(proto),
    ...meta(proto),
  };
}

function attributes(
  protos: readonly AttributeProto[],
  node: string,
  resolve: ResolveExternal,
  depth: number,
): ReadonlyMap<string, OnnxAttribute> {
  const found = new Map<string, OnnxAttribute>();
  for (const proto of protos) {
    const where = `attribute "${proto.name}" of ${node}`;
    if (found.has(proto.name)) fail("QKV407", `${where} is given twice`);
    found.set(proto.name, attributeFromProto(proto, where, resolve, depth));
  }
  return found;
}

/** The attribute types whose fields hold something. */
function filledTypes(proto: AttributeProto): number[] {
  const filled: readonly (readonly [number, boolean])[] = [
    [attributeTypes.float, proto.f !== undefined],
    [attributeTypes.int, proto.i !== undefined],
    [attributeTypes.string, proto.s !== undefined],
    [attributeTypes.tensor, proto.t !== undefined],
    [attributeTypes.graph, proto.g !== undefined],
    [attributeTypes.floats, proto.floats.length > 0],
    [attributeTypes.ints, proto.ints.length > 0],
    [attributeTypes.strings, proto.strings.length > 0],
    [attributeTypes.tensors, proto.tensors.length > 0],
    [attributeTypes.graphs, proto.graphs.length > 0],
    [attributeTypes.sparseTensor, proto.sparseTensor !== undefined],
    [attributeTypes.sparseTensors, proto.sparseTensors.length > 0],
    [attributeTypes.type, proto.tp !== undefined],
    [attributeTypes.types, proto.typeProtos.length > 0],
  ];
  return filled.flatMap(([type, isFilled]) => (isFilled ? [type] : []));
}

function attributeFromProto(
  proto: AttributeProto,
  where: string,
  resolve: ResolveExternal,
  depth: number,
): OnnxAttribute {
  const type = proto.type ?? 0;
  const filled = filledTypes(proto);
  if (filled.some((other) => other !== type)) fail("QKV407", `${where} has type ${type} and values of type ${filled}`);
  if (proto.refAttrName !== "") {
    if (filled.length > 0) fail("QKV407", `${where} has both a value and a reference`);
    return { kind: "reference", value: proto.refAttrName, type };
  }
  const missing = (): never => fail("QKV407", `${where} has type ${type} and no value`);
  switch (type) {
    case attributeTypes.float:
      return { kind: "float", value: proto.f ?? missing() };
    case attributeTypes.int:
      return { kind: "int", value: proto.i ?? missing() };
    case attributeTypes.string:
      return stringAttribute(proto.s ?? missing());
    case attributeTypes.tensor:
      return { kind: "tensor", value: tensorFromProto(proto.t ?? missing(), resolve) };
    case attributeTypes.graph:
      return { kind: "graph", value: graphFromProto(proto.g ?? missing(), resolve, depth + 1) };
    case attributeTypes.floats:
      return { kind: "floats", value: proto.floats };
    case attributeTypes.ints:
      return { kind: "ints", value: proto.ints };
    case attributeTypes.strings:
      return stringsAttribute(proto.strings);
    case attributeTypes.tensors:
      return { kind: "tensors", value: proto.tensors.map((tensor) => tensorFromProto(tensor, resolve)) };
    case attributeTypes.graphs:
      return { kind: "graphs", value: proto.graphs.map((graph) => graphFromProto(graph, resolve, depth + 1)) };
    case attributeTypes.sparseTensor:
      return { kind: "sparseTensor", value: sparseFromProto(proto.sparseTensor ?? missing(), resolve) };
    case attributeTypes.sparseTensors:
      return { kind: "sparseTensors", value: proto.sparseTensors.map((sparse) => sparseFromProto(sparse, resolve)) };
    case attributeTypes.type:
      return { kind: "type", value: proto.tp ?? missing() };
    case attributeTypes.types:
      return { kind: "types", value: proto.typeProtos };
    default:
      return fail("QKV407", `${where} has type ${type}, which ONNX does not define`);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Undefined where the bytes are no UTF-8. */
function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function stringAttribute(bytes: Uint8Array): OnnxAttribute {
  const value = decodeText(bytes);
  return value === undefined ? { kind: "bytes", value: bytes } : { kind: "string", value };
}

function stringsAttribute(list: readonly Uint8Array[]): OnnxAttribute {
  const value = list.flatMap((bytes) => decodeText(bytes) ?? []);
  return value.length === list.length ? { kind: "strings", value } : { kind: "bytesList", value: list };
}

/** A dims list as numbers. Throws QKV406 for negative extents, and for counts of elements beyond 2^53. */
function dimsOf(dims: readonly bigint[], where: string): number[] {
  const bad = dims.find((dim) => dim < 0n || dim > Number.MAX_SAFE_INTEGER);
  if (bad !== undefined) fail("QKV406", `${where} has an extent of ${bad}`);
  const numbers = dims.map(Number);
  countElements(numbers, where);
  return numbers;
}

/**
 * One tensor, its listed values turned into bytes. Throws QKV404 where type, dims and data disagree or two fields hold
 * data, QKV405 for unknown element types, QKV406 for bad dims, QKV410 for bad references to external data.
 */
export function tensorFromProto(proto: TensorProto, resolve: ResolveExternal): OnnxTensor {
  const label = `tensor "${proto.name}"`;
  const dtype = dtypeOf(proto.dataType ?? 0, label);
  const dims = dimsOf(proto.dims, label);
  const where = `${label} (${dtypeName(dtype)}[${dims.join(", ")}])`;
  if (proto.segment !== undefined) fail("QKV404", `${where} is a segment of a tensor, which nothing can join`);
  const base = { name: proto.name, dtype, dims };
  if (isStringType(dtype)) return { ...base, ...stringData(proto, dims, where), ...meta(proto) };
  const bytes = tensorBytes(proto, dtype, dims, where, resolve);
  if (dtype === "bool" && bytes instanceof Uint8Array && bytes.some((byte) => byte > 1))
    fail("QKV404", `${where} has bytes that are neither 0 nor 1`);
  return { ...base, bytes, ...meta(proto) };
}

function listedCount(proto: TensorProto): number {
  const { floatData, int32Data, int64Data, doubleData, uint64Data } = proto;
  return floatData.length + int32Data.length + int64Data.length + doubleData.length + uint64Data.length;
}

function stringData(proto: TensorProto, dims: readonly number[], where: string): Pick<OnnxTensor, "bytes" | "strings"> {
  if (proto.rawData !== undefined || proto.dataLocation === 1 || listedCount(proto) > 0)
    fail("QKV404", `${where} holds its strings as something else`);
  if (proto.stringData.length !== countElements(dims, where))
    fail("QKV404", `${where} has ${proto.stringData.length} strings`);
  return { bytes: new Uint8Array(0), strings: proto.stringData };
}

function tensorBytes(
  proto: TensorProto,
  dtype: OnnxDType,
  dims: readonly number[],
  where: string,
  resolve: ResolveExternal,
): OnnxTensor["bytes"] {
  const expected = storageBytes(dtype, dims, where);
  const location = proto.dataLocation ?? 0;
  const isListed = listedCount(proto) > 0;
  if (proto.stringData.length > 0) fail("QKV404", `${where} holds strings`);
  if (location !== 0 && location !== 1) fail("QKV404", `${where} has data location ${location}`);
  if (location === 1) {
    if (isListed || (proto.rawData?.length ?? 0) > 0) fail("QKV404", `${where} has data both inside and outside`);
    return resolve(parseReference(proto.externalData, expected, where), where);
  }
  if (proto.externalData.length > 0) fail("QKV410", `${where} describes external data it does not use`);
  if (isListed && (proto.rawData?.length ?? 0) > 0) fail("QKV404", `${where} has both raw data and a list`);
  if (isListed || proto.rawData === undefined) return listedBytes(proto, dtype, expected, where);
  if (proto.rawData.length !== expected)
    fail("QKV404", `${where} takes ${expected} bytes, not ${proto.rawData.length}`);
  return proto.rawData;
}

function sparseFromProto(proto: SparseTensorProto, resolve: ResolveExternal): OnnxSparseTensor {
  const { values, indices } = proto;
  if (values === undefined || indices === undefined) fail("QKV404", "a sparse tensor without values or indices");
  return {
    values: tensorFromProto(values, resolve),
    indices: tensorFromProto(indices, resolve),
    dims: dimsOf(proto.dims, `sparse tensor "${values.name}"`),
  };
}

function valueInfoFromProto(proto: ValueInfoProto): OnnxValueInfo {
  const where = `value "${proto.name}"`;
  const extra = { ...doc(proto), ...meta(proto) };
  if (proto.type?.value.case !== "tensorType") return { name: proto.name, type: proto.type, ...extra };
  const { elemType, shape } = proto.type.value.value;
  return {
    name: proto.name,
    dtype: dtypeOf(elemType ?? 0, where),
    shape: shape && shapeFromProto(shape, where),
    ...extra,
  };
}

/** Negative extents and empty names are how some exporters say unknown. */
function shapeFromProto(shape: TensorShapeProto, where: string): OnnxDim[] {
  return shape.dim.map(({ value }) => {
    if (value.case === "dimParam") return value.value === "" ? null : value.value;
    if (value.case !== "dimValue" || value.value < 0n) return null;
    return dimsOf([value.value], where)[0]!;
  });
}
