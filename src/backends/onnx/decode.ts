import { closeSync } from "node:fs";
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { fail, QkvError } from "../../ir/diagnostics.ts";
import { ExternalDataReader, openRegular, readExactly } from "./external-data.ts";
import { modelFromProto, type ResolveExternal, tensorFromProto } from "./from-proto.ts";
import { ModelProtoSchema, TensorProtoSchema } from "./proto/generated/onnx_pb.ts";
import type { OnnxModel, OnnxTensor } from "./schema.ts";
import { checkWire, type WireLimits } from "./wire.ts";

/** What a model may cost to read. Each can be raised. */
export interface ReadLimits extends WireLimits {
  /** Bytes of the model file itself. */
  readonly fileBytes: number;
  /** Bytes of all external data together. */
  readonly externalBytes: number;
}

const defaultLimits: ReadLimits = {
  depth: 100,
  fields: 2 ** 24,
  listElements: 2 ** 25,
  unknownFields: 10_000,
  fileBytes: 2 ** 31 - 1,
  externalBytes: 64 * 2 ** 30,
};

export interface DecodeOptions {
  readonly limits?: Partial<ReadLimits>;
}

/**
 * Parses a serialised model; tensors keep references to external data, and views of `bytes` otherwise.
 * Throws QKV401 for malformed bytes, QKV402 to QKV407 and QKV410 for content ONNX does not allow, QKV408 and QKV409
 * beyond the limits.
 */
export function decodeModel(bytes: Uint8Array, options: DecodeOptions = {}): OnnxModel {
  return decode(bytes, withDefaults(options), (reference) => reference);
}

/** Parses one serialised tensor, such as the inputs and outputs beside a test model. Throws as `decodeModel` does. */
export function decodeTensor(bytes: Uint8Array, options: DecodeOptions = {}): OnnxTensor {
  const { message } = parse(TensorProtoSchema, bytes, withDefaults(options));
  return tensorFromProto(message, (reference) => reference);
}

/**
 * Reads a model and the external data its tensors refer to, which must lie in the model's folder or below.
 * Throws as `decodeModel` does, and QKV411 and QKV412 for data outside the folder or its file, QKV413 for unreadable
 * files.
 */
export function readModel(path: string, options: DecodeOptions = {}): OnnxModel {
  const limits = withDefaults(options);
  const bytes = readWhole(path, limits.fileBytes);
  const reader = new ExternalDataReader(path, limits.externalBytes);
  try {
    return inFile(path, () => decode(bytes, limits, (reference, where) => reader.read(reference, where)));
  } finally {
    reader.close();
  }
}

/** Does `work` on a file, which mistakes found in it then name. */
export function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof QkvError) || error.message.includes(path)) throw error;
    throw new QkvError(error.code, `${path}: ${error.message}`, error.details);
  }
}

const withDefaults = (options: DecodeOptions): ReadLimits => ({ ...defaultLimits, ...options.limits });

function readWhole(path: string, limit: number): Uint8Array {
  const file = openRegular(path, true);
  try {
    if (file.size > limit)
      fail("QKV409", `${path} has ${file.size} bytes, more than ${limit}`, {
        help: "in code, `readModel` takes a higher limit `fileBytes`",
      });
    return readExactly(file, 0, file.size, path);
  } finally {
    closeSync(file.descriptor);
  }
}

function decode(bytes: Uint8Array, limits: ReadLimits, resolve: ResolveExternal): OnnxModel {
  const { message, unknownFields } = parse(ModelProtoSchema, bytes, limits);
  const model = modelFromProto(message, resolve);
  return unknownFields === 0 ? model : { ...model, unknownFields };
}

function parse<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
  limits: ReadLimits,
): { readonly message: MessageShape<Desc>; readonly unknownFields: number } {
  if (bytes.byteLength === 0) fail("QKV401", "the file is empty");
  const { unknownFields } = checkWire(schema, bytes, limits);
  try {
    const message = fromBinary(schema, bytes, { readUnknownFields: false, recursionLimit: limits.depth });
    return { message, unknownFields };
  } catch (error) {
    // What is left after the walk: strings that are no UTF-8.
    return fail("QKV401", (error as Error).message);
  }
}
