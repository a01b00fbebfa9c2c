import { basename, join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { fail } from "../../ir/diagnostics.ts";
import { checkLocation } from "./external-data.ts";
import { GraphProtoSchema, ModelProtoSchema, TensorProtoSchema } from "./proto/generated/onnx_pb.ts";
import { isExternal, type OnnxModel, type OnnxTensor } from "./schema.ts";
import { graphHead, inlineBytes, modelHead, tensorHead } from "./to-proto.ts";
import { type FileContent, targetFolder, writeFiles } from "./write-files.ts";

export interface EncodeOptions {
  /** Bytes of initializers beyond which the larger ones go to a file of their own. Default 64 MiB. */
  readonly externalDataLimit?: number;
  /** Name of that file, in the model's folder. Default `model.onnx.data`; `writeModel` takes the model's own name. */
  readonly externalDataName?: string;
}

/** Tensor data beside the model. Offsets are bytes, multiples of 4096 in ascending order; gaps are zero. */
export interface ExternalFile {
  readonly location: string;
  readonly byteLength: number;
  readonly pieces: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

export interface EncodedModel {
  readonly model: Uint8Array;
  readonly external?: ExternalFile;
}

const defaultExternalLimit = 64 * 2 ** 20;
/** Smaller tensors stay in the model whatever its size. */
const minExternalBytes = 1024;
/** Page size, so that readers can map the file. */
const alignment = 4096;
/** Protobuf parsers stop at 2^31 - 1 bytes; the margin leaves room for tools that add a little. */
const maxModelBytes = 2 ** 31 - 16 * 2 ** 20;

const fieldNumbers = { graph: 7, initializer: 5, rawData: 9 } as const;

interface Chunks {
  readonly chunks: readonly Uint8Array[];
  readonly byteLength: number;
}

const concat = (parts: readonly Chunks[]): Chunks => ({
  chunks: parts.flatMap(({ chunks }) => chunks),
  byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, 0),
});
const whole = (bytes: Uint8Array): Chunks => ({ chunks: [bytes], byteLength: bytes.byteLength });

/** A field of known length: its tag and length, then the content. */
function delimited(number: number, content: Chunks): Chunks {
  const head = new BinaryWriter().tag(number, WireType.LengthDelimited);
  if (content.byteLength > maxModelBytes) tooLarge(content.byteLength);
  return concat([whole(head.uint32(content.byteLength).finish()), content]);
}

const tooLarge = (byteLength: number): never =>
  fail("QKV414", `the model takes ${byteLength} bytes, protobuf files end at ${maxModelBytes}`, {
    help: "lower `externalDataLimit` so that weights go to a file of their own",
  });

function tensorChunks(tensor: OnnxTensor): Chunks {
  const head = whole(toBinary(TensorProtoSchema, tensorHead(tensor)));
  const bytes = inlineBytes(tensor);
  return bytes === undefined ? head : concat([head, delimited(fieldNumbers.rawData, whole(bytes))]);
}

/**
 * The serialised model as pieces to be written one after the other. Initializers are not copied: the protobuf library
 * would copy them once per enclosing message, so only what is around their bytes goes through it.
 */
function modelChunks(model: OnnxModel): Chunks {
  const initializers = model.graph.initializers.map((tensor) =>
    delimited(fieldNumbers.initializer, tensorChunks(tensor)),
  );
  const graph = concat([whole(toBinary(GraphProtoSchema, graphHead(model.graph))), ...initializers]);
  const chunks = concat([whole(toBinary(ModelProtoSchema, modelHead(model))), delimited(fieldNumbers.graph, graph)]);
  return chunks.byteLength > maxModelBytes ? tooLarge(chunks.byteLength) : chunks;
}

const memoryBytes = (tensor: OnnxTensor): number => inlineBytes(tensor)?.byteLength ?? 0;

/** Moves large initializers out where they are more than `limit` bytes together. */
function externalise(
  model: OnnxModel,
  limit: number,
  location: string,
): { readonly model: OnnxModel; readonly external?: ExternalFile } {
  const { initializers } = model.graph;
  if (initializers.reduce((sum, tensor) => sum + memoryBytes(tensor), 0) <= limit) return { model };
  checkLocation(location, "the model");
  const clash = initializers.find(({ bytes }) => isExternal(bytes) && bytes.location === location);
  if (clash !== undefined) fail("QKV415", `tensor "${clash.name}" already refers to data in ${location}`);
  const pieces: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  let end = 0;
  const moved = initializers.map((tensor): OnnxTensor => {
    const bytes = inlineBytes(tensor);
    if (bytes === undefined || bytes.byteLength < minExternalBytes) return tensor;
    const offset = Math.ceil(end / alignment) * alignment;
    pieces.push({ offset, bytes });
    end = offset + bytes.byteLength;
    return { ...tensor, bytes: { location, offset, length: bytes.byteLength } };
  });
  if (pieces.length === 0) return { model };
  const graph = { ...model.graph, initializers: moved };
  return { model: { ...model, graph }, external: { location, byteLength: end, pieces } };
}

/**
 * Serialises a model: tensors as raw little-endian data, equal models to equal bytes.
 * Throws QKV404, QKV405, QKV406, QKV408, QKV410 and QKV416 for content no reader would accept, QKV414 beyond 2 GiB.
 */
export function encodeModel(model: OnnxModel, options: EncodeOptions = {}): EncodedModel {
  const { chunks, byteLength, external } = encodeChunks(model, options);
  const bytes = new Uint8Array(byteLength);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return { model: bytes, ...(external && { external }) };
}

function encodeChunks(model: OnnxModel, options: EncodeOptions): Chunks & { readonly external?: ExternalFile } {
  const limit = options.externalDataLimit ?? defaultExternalLimit;
  const { model: inline, external } = externalise(model, limit, options.externalDataName ?? "model.onnx.data");
  return { ...modelChunks(inline), ...(external && { external }) };
}

export interface WriteOptions {
  readonly externalDataLimit?: number;
  /** The model must lie in this folder or below it. */
  readonly folder?: string;
}

export interface WrittenModel {
  /** Absolute paths, the model first. */
  readonly files: readonly string[];
  readonly byteLength: number;
}

/**
 * Writes a model to `path`, and its large tensors to `<path>.data` where they exceed the limit. Both files appear
 * complete or not at all. Throws what `encodeModel` throws, and QKV415 where the files cannot be written.
 */
export function writeModel(path: string, model: OnnxModel, options: WriteOptions = {}): WrittenModel {
  const folder = targetFolder(path, options.folder);
  const name = basename(path);
  const limit = options.externalDataLimit ?? defaultExternalLimit;
  const encoded = encodeChunks(model, { externalDataLimit: limit, externalDataName: `${name}.data` });
  const { external, byteLength } = encoded;
  const data: readonly FileContent[] = external ? [{ name: external.location, pieces: external.pieces }] : [];
  writeFiles(folder, [...data, { name, pieces: sequential(encoded.chunks) }]);
  const names = [name, ...data.map((file) => file.name)];
  return { files: names.map((file) => join(folder, file)), byteLength: byteLength + (external?.byteLength ?? 0) };
}

const gatherBytes = 2 ** 20;

/** The chunks one after the other, small ones gathered so that not every tensor name costs a system call. */
function* sequential(chunks: readonly Uint8Array[]): Generator<{ offset: number; bytes: Uint8Array }> {
  let offset = 0;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for (const chunk of chunks) {
    if (pendingBytes > 0 && pendingBytes + chunk.byteLength > gatherBytes) {
      yield { offset, bytes: Buffer.concat(pending, pendingBytes) };
      offset += pendingBytes;
      pending = [];
      pendingBytes = 0;
    }
    if (chunk.byteLength > gatherBytes) {
      yield { offset, bytes: chunk };
      offset += chunk.byteLength;
      continue;
    }
    pending.push(chunk);
    pendingBytes += chunk.byteLength;
  }
  yield { offset, bytes: Buffer.concat(pending, pendingBytes) };
}
