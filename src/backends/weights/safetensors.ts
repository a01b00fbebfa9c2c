import { constants as bufferConstants } from "node:buffer";
import { fail } from "../../ir/diagnostics.ts";
import { viewBytes } from "../../ir/dtype.ts";
import { type HostTensor, hostTensor } from "../../ir/tensor.ts";
import { quoteName } from "./quote-name.ts";
import { decodeUtf8, openRegular, type RegularFile, readRange } from "./regular-file.ts";
import { maxHeaderBytes, parseHeader, type TensorEntry } from "./safetensors-header.ts";
import { type TensorInfo, unknownTensor, type WeightStore } from "./store.ts";

/** Bytes before the header: its length, unsigned 64-bit little-endian. */
const prefixBytes = 8;
// Below this, one read of the whole file is cheaper than one per tensor.
const smallFileBytes = 4 * 2 ** 20;

/** Limits of the reader, adjustable. */
export interface SafetensorsOptions {
  /** Largest tensor read into memory, bytes; by default what one typed array can hold. */
  readonly maxTensorBytes?: number;
  /** Files up to this size are read at once and kept; 0 reads every tensor from the file when asked. */
  readonly wholeFileBytes?: number;
}

/** An open safetensors file. Holds no descriptor: each read opens the file again and refuses it where it has changed. */
export interface SafetensorsFile extends WeightStore {
  readonly source: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Opens a safetensors file and checks its header against its size; tensors are read when asked for, each into memory of
 * its own. BOOL bytes other than 0 read as 1. Throws QKV420 to QKV429.
 */
export function openSafetensors(path: string, options: SafetensorsOptions = {}): SafetensorsFile {
  const file = openRegular(path);
  const headerBytes = readHeaderLength(file);
  const whole = file.size <= (options.wholeFileBytes ?? smallFileBytes) ? readRange(file, 0, file.size) : undefined;
  const bytesAt = (offset: number, length: number): Uint8Array<ArrayBuffer> =>
    whole ? whole.slice(offset, offset + length) : readRange(file, offset, length);

  const dataStart = prefixBytes + headerBytes;
  const text = decodeHeader(file, bytesAt(prefixBytes, headerBytes));
  const { tensors, metadata } = parseHeader(path, text, file.size - dataStart);
  const maxTensorBytes = options.maxTensorBytes ?? bufferConstants.MAX_LENGTH;
  const entry = (name: string): TensorEntry => tensors.get(name) ?? unknownTensor(name, path, tensors.keys());
  return {
    source: path,
    metadata,
    names: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    describe: (name): TensorInfo => entry(name),
    read(name): HostTensor {
      const { dtype, dims, begin, end } = entry(name);
      if (end - begin > maxTensorBytes)
        fail(
          "QKV429",
          `${path}: tensor ${quoteName(name)} takes ${end - begin} bytes; the limit is ${maxTensorBytes}`,
          {
            help: "split the tensor, or raise maxTensorBytes",
          },
        );
      const bytes = bytesAt(dataStart + begin, end - begin);
      if (dtype === "bool") for (let i = 0; i < bytes.length; i++) bytes[i] = bytes[i] === 0 ? 0 : 1;
      return hostTensor(dtype, dims, viewBytes(dtype, bytes));
    },
  };
}

function readHeaderLength(file: RegularFile): number {
  const { path, size } = file;
  if (size < prefixBytes)
    return fail("QKV422", `${path} has ${size} bytes, too few for a safetensors file`, {
      help: "the download or export did not finish: fetch it again",
    });
  const start = readRange(file, 0, Math.min(size, 64));
  const length = new DataView(start.buffer).getBigUint64(0, true);
  const room = BigInt(size - prefixBytes);
  if (length > room)
    fail("QKV422", `${path} announces a header of ${length} bytes; ${room} follow`, { help: otherFormat(start) });
  if (length > maxHeaderBytes)
    fail("QKV429", `${path} announces a header of ${length} bytes; ${maxHeaderBytes} is the most`, {
      help: otherFormat(start),
    });
  if (length < 2n)
    fail("QKV422", `${path} announces a header of ${length} bytes; {} takes 2`, { help: otherFormat(start) });
  return Number(length);
}

function decodeHeader(file: RegularFile, bytes: Uint8Array): string {
  if (bytes[0] !== 0x7b)
    fail("QKV423", `${file.path}: the header does not start with "{"`, { help: otherFormat(bytes) });
  return (
    decodeUtf8(bytes) ??
    fail("QKV423", `${file.path}: the header is not valid UTF-8`, { help: "download or export the file again" })
  );
}

const signatures: readonly (readonly [start: string, help: string])[] = [
  ["version https://git-lfs", "this is a Git LFS pointer, not the weights: run `git lfs pull`"],
  ["PK", "this looks like a zip archive (PyTorch or npz): save it as safetensors"],
  ["GGUF", "this is a GGUF file: use the checkpoint it was converted from"],
  ["\x89HDF", "this is an HDF5 file: save it as safetensors"],
];

function otherFormat(start: Uint8Array): string {
  const text = Buffer.from(start.subarray(0, 64)).toString("latin1");
  const known = signatures.find(([signature]) => text.startsWith(signature));
  return known?.[1] ?? "the file is damaged or is not a safetensors file: download or export it again";
}
