import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fail } from "../../ir/diagnostics.ts";
import { byteSize, type DType } from "../../ir/dtype.ts";
import { elementCount, type HostTensor, tensorBytes } from "../../ir/tensor.ts";
import { quoteName } from "./quote-name.ts";
import { dtypeByFormatName, maxHeaderBytes, metadataKey } from "./safetensors-header.ts";

// The reference implementation lays tensors out by this order of types, widest first, then by name: every tensor is
// aligned to its element. Following it gives the same bytes as it for the same tensors.
const layoutOrder: readonly DType[] = ["i64", "f64", "f32", "i32", "bf16", "f16", "i8", "u8", "bool"];

const formatNames = new Map([...dtypeByFormatName].map(([name, dtype]) => [dtype, name]));
const surrogate = /\p{Surrogate}/u;

type Named = readonly [name: string, tensor: HostTensor];

const byLayout = ([nameA, a]: Named, [nameB, b]: Named): number =>
  layoutOrder.indexOf(a.dtype) - layoutOrder.indexOf(b.dtype) || Buffer.compare(Buffer.from(nameA), Buffer.from(nameB));

/**
 * Writes tensors and string metadata as a safetensors file, through a temporary file beside it that is renamed when
 * complete. The bytes depend on the contents only: tensors lie by element type (I64 F64 F32 I32 BF16 F16 I8 U8 BOOL),
 * then by name in UTF-8 order; metadata by key; the header is padded with spaces to a multiple of 8 bytes.
 * Throws QKV436 where a name cannot be written, a tensor's data does not match its dims, or the disk refuses.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): void {
  writeWhole(path, safetensorsBytes(path, tensors, metadata));
}

/** What `writeSafetensors` writes, in order. `path` is for messages. Throws as it does, but for the disk. */
export function safetensorsBytes(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): readonly Uint8Array[] {
  const ordered = [...tensors].sort(byLayout);
  const header = encodeHeader(path, ordered, metadata);
  return [header, ...ordered.map(([, tensor]) => tensorBytes(tensor))];
}

function encodeHeader(path: string, ordered: readonly Named[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const members: string[] = [];
  if (metadata.size > 0) members.push(`${JSON.stringify(metadataKey)}:${encodeMetadata(path, metadata)}`);
  let offset = 0;
  for (const [name, tensor] of ordered) {
    checkTensor(path, name, tensor);
    const end = offset + tensor.data.length * byteSize(tensor.dtype);
    members.push(
      `${JSON.stringify(name)}:{"dtype":"${formatNames.get(tensor.dtype)}","shape":[${tensor.dims.join(",")}],"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const json = Buffer.from(`{${members.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > maxHeaderBytes)
    fail("QKV436", `${path}: the header would take ${length} bytes; ${maxHeaderBytes} is the most`);
  const bytes = Buffer.alloc(8 + length, " ");
  bytes.writeBigUInt64LE(BigInt(length));
  json.copy(bytes, 8);
  return bytes;
}

function encodeMetadata(path: string, metadata: ReadonlyMap<string, string>): string {
  const entries = [...metadata].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const [key, value] of entries)
    if (surrogate.test(key) || surrogate.test(value))
      fail("QKV436", `${path}: metadata ${quoteName(key)} is not valid Unicode`);
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
}

function checkTensor(path: string, name: string, { dtype, dims, data }: HostTensor): void {
  if (name === metadataKey) fail("QKV436", `${path}: ${metadataKey} is reserved and cannot name a tensor`);
  if (surrogate.test(name)) fail("QKV436", `${path}: the tensor name ${quoteName(name)} is not valid Unicode`);
  if (data.length !== elementCount(dims))
    fail("QKV436", `${path}: tensor ${quoteName(name)} ${dtype}[${dims.join(", ")}] holds ${data.length} elements`);
}

function writeWhole(path: string, parts: readonly Uint8Array[]): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const descriptor = openSync(temporary, "wx");
    try {
      for (const part of parts) for (let done = 0; done < part.length; ) done += writeSync(descriptor, part, done);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    fail("QKV436", `${path}: ${error instanceof Error ? error.message : error}`, {
      help: "check the folder, its permissions and the free space",
    });
  }
}
