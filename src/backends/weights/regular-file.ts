import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { fail } from "../../ir/diagnostics.ts";

/** A regular file as it was when opened. Later reads refuse one that has changed or been replaced since. */
export interface RegularFile {
  readonly path: string;
  readonly size: number;
  readonly stats: BigIntStats;
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const kindOf = (stats: BigIntStats): string => {
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a named pipe";
  if (stats.isSocket()) return "a socket";
  return stats.isCharacterDevice() || stats.isBlockDevice() ? "a device" : "not a regular file";
};

function attempt<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    return fail("QKV420", `${path}: ${errorText(error)}`, { help: "check the path and its permissions" });
  }
}

function requireRegular(path: string, stats: BigIntStats): void {
  if (!stats.isFile())
    fail("QKV420", `${path} is ${kindOf(stats)}`, {
      help: "weights and their JSON files are read from regular files only",
    });
}

function withDescriptor<T>(path: string, run: (descriptor: number, stats: BigIntStats) => T): T {
  requireRegular(
    path,
    attempt(path, () => statSync(path, { bigint: true })),
  );
  // Were the file swapped for a named pipe since the line above, a blocking open would wait for ever.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
  const descriptor = attempt(path, () => openSync(path, flags));
  try {
    const stats = attempt(path, () => fstatSync(descriptor, { bigint: true }));
    requireRegular(path, stats);
    return run(descriptor, stats);
  } finally {
    closeSync(descriptor);
  }
}

const changed = (path: string, detail: string): never =>
  fail("QKV421", `${path} changed while it was read: ${detail}`, {
    help: "wait until the file is written, then run again",
  });

function requireSame(path: string, before: BigIntStats, now: BigIntStats): void {
  if (now.size !== before.size) changed(path, `it had ${before.size} bytes, now ${now.size}`);
  if (now.ino !== before.ino || now.dev !== before.dev) changed(path, "another file took its place");
  if (now.mtimeNs !== before.mtimeNs) changed(path, "its modification time moved");
}

// One read call takes at most 2^31 - 1 bytes.
const chunkBytes = 2 ** 28;

/** Opens `path` once to make sure it is a regular file. Throws QKV420 for anything else. */
export const openRegular = (path: string): RegularFile =>
  withDescriptor(path, (_, stats) => ({ path, size: Number(stats.size), stats }));

/** Bytes `offset` to `offset + length` in an array of their own. Throws QKV420, QKV421, or QKV429 where memory is short. */
export function readRange(file: RegularFile, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = allocateBytes(file.path, length);
  withDescriptor(file.path, (descriptor, stats) => {
    requireSame(file.path, file.stats, stats);
    for (let done = 0; done < length; ) {
      const count = Math.min(chunkBytes, length - done);
      const got = attempt(file.path, () => readSync(descriptor, bytes, done, count, offset + done));
      if (got === 0) changed(file.path, `it ends at byte ${offset + done}`);
      done += got;
    }
    requireSame(
      file.path,
      file.stats,
      attempt(file.path, () => fstatSync(descriptor, { bigint: true })),
    );
  });
  return bytes;
}

function allocateBytes(path: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch {
    return fail("QKV429", `${path}: no memory for ${length} bytes`, { help: "free memory or use smaller weights" });
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes UTF-8 strictly; undefined where the bytes are not valid. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
