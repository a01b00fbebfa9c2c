import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fail } from "../../ir/diagnostics.ts";
import type { ExternalReference } from "./schema.ts";

const knownKeys = new Set(["location", "offset", "length", "checksum", "basepath"]);
/** Marks addresses inside a running ONNX Runtime; a file has no business with one. */
const memoryMarker = "_ORT_MEM_ADDR_";
const maxChunk = 2 ** 30;

/** Throws QKV410 unless `location` is a relative path in portable spelling that does not climb. */
export function checkLocation(location: string, where: string): void {
  const refuse = (why: string): never => fail("QKV410", `${where} has its data at ${JSON.stringify(location)}: ${why}`);
  if (location === "" || location.length > 4096) refuse("not a path");
  if (location.includes("\0")) refuse("NUL in the path");
  if (location.includes("\\")) refuse("backslashes are not portable");
  if (location.startsWith("/") || /^[A-Za-z]:/.test(location)) refuse("the path is absolute");
  if (location.split("/").includes("..")) refuse("the path leaves the model's folder");
  if (location.includes(memoryMarker)) refuse("an address in memory");
}

/**
 * Reads the key-value entries that describe external data. `byteLength` is what the tensor's type and dims take.
 * Throws QKV410 for unknown or repeated keys, numbers that are no plain decimals and locations `checkLocation` refuses;
 * QKV404 where the stated length is not `byteLength`.
 */
export function parseReference(
  entries: readonly { readonly key: string; readonly value: string }[],
  byteLength: number,
  where: string,
): ExternalReference {
  const values = new Map<string, string>();
  for (const { key, value } of entries) {
    if (!knownKeys.has(key)) fail("QKV410", `${where}: unknown key ${JSON.stringify(key)} in external data`);
    if (values.has(key)) fail("QKV410", `${where}: ${key} is given twice in external data`);
    values.set(key, value);
  }
  const location = values.get("location") ?? fail("QKV410", `${where}: external data without a location`);
  checkLocation(location, where);
  const offset = decimal(values.get("offset") ?? "0", "offset", where);
  const length = decimal(values.get("length") ?? `${byteLength}`, "length", where);
  if (length !== byteLength) fail("QKV404", `${where} takes ${byteLength} bytes, its external data has ${length}`);
  const checksum = values.get("checksum");
  return { location, offset, length, ...(checksum !== undefined && { checksum }) };
}

function decimal(digits: string, key: string, where: string): number {
  const value = /^[0-9]{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isSafeInteger(value)) fail("QKV410", `${where}: external data ${key} ${JSON.stringify(digits)}`);
  return value;
}

/** An open regular file and its size in bytes. */
export interface OpenFile {
  readonly descriptor: number;
  readonly size: number;
}

/** Opens for reading without following a final link (where `follow` is false) and without waiting on pipes. */
export function openRegular(path: string, follow: boolean): OpenFile & { readonly links: number } {
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (follow ? 0 : (constants.O_NOFOLLOW ?? 0));
  let descriptor: number;
  try {
    descriptor = openSync(path, flags);
  } catch (error) {
    return fail("QKV413", `cannot open ${path}: ${(error as Error).message}`);
  }
  const stat = fstatSync(descriptor);
  if (stat.isFile()) return { descriptor, size: stat.size, links: stat.nlink };
  closeSync(descriptor);
  return fail("QKV413", `${path} is no regular file`);
}

/** Exactly `length` bytes from `offset`. Throws QKV413 where the file ends before, or cannot be read. */
export function readExactly(file: OpenFile, offset: number, length: number, path: string): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const count = readOnce(file.descriptor, bytes.subarray(at, at + maxChunk), offset + at, path);
    if (count === 0) fail("QKV413", `${path} ends at byte ${offset + at}; it shrank while being read`);
    at += count;
  }
  return bytes;
}

function readOnce(descriptor: number, into: Uint8Array, position: number, path: string): number {
  try {
    return readSync(descriptor, into, 0, into.length, position);
  } catch (error) {
    return fail("QKV413", `cannot read ${path}: ${(error as Error).message}`);
  }
}

interface DataFile extends OpenFile {
  /** Regions read so far, by offset and length: tied tensors share bytes. */
  readonly regions: Map<string, Uint8Array>;
  total: number;
}

/**
 * Reads external data from the folder a model lies in, and from nowhere else. Call `close` when done.
 * `read` throws QKV410 for a bad location, QKV411 for a file that is or is reached over a link, or has several names,
 * QKV412 for data outside the file or overlapping other data, QKV413 for unreadable files, QKV409 beyond `limit` bytes.
 */
export class ExternalDataReader {
  readonly #folder: string;
  readonly #limit: number;
  readonly #files = new Map<string, DataFile>();
  #total = 0;

  constructor(modelPath: string, limit: number) {
    this.#folder = realpathSync(dirname(modelPath));
    this.#limit = limit;
  }

  read(reference: ExternalReference, where: string): Uint8Array {
    const { location, offset, length } = reference;
    checkLocation(location, where);
    const path = join(this.#folder, normalize(location));
    const file = this.#files.get(path) ?? this.#open(path, where);
    const key = `${offset}+${length}`;
    const known = file.regions.get(key);
    if (known !== undefined) return known;
    // Not `offset + length > size`: sums of hostile numbers may wrap in other readers; this form cannot.
    if (length > file.size || offset > file.size - length)
      fail("QKV412", `${where} lies at bytes ${offset} to ${offset + length} of ${location}, which has ${file.size}`);
    file.total += length;
    this.#total += length;
    if (file.total > file.size) fail("QKV412", `${where} overlaps other tensors in ${location}`);
    if (this.#total > this.#limit)
      fail("QKV409", `external data of more than ${this.#limit} bytes`, {
        help: "in code, `readModel` takes a higher limit `externalBytes`",
      });
    const bytes = readExactly(file, offset, length, path);
    file.regions.set(key, bytes);
    return bytes;
  }

  close(): void {
    for (const { descriptor } of this.#files.values()) closeSync(descriptor);
    this.#files.clear();
  }

  #open(path: string, where: string): DataFile {
    if (realPath(path, where) !== path)
      fail("QKV411", `${where} has its data at ${path}, which is reached over a link`, {
        help: "put the data file itself beside the model",
      });
    const { descriptor, size, links } = openRegular(path, false);
    const file = { descriptor, size, regions: new Map(), total: 0 };
    this.#files.set(path, file);
    if (links !== 1) fail("QKV411", `${where} has its data at ${path}, a file with ${links} names`);
    return file;
  }
}

function realPath(path: string, where: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    return fail("QKV413", `${where} has its data at ${path}: ${(error as Error).message}`);
  }
}
