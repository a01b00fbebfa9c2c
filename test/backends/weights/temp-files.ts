import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { QkvError } from "../../../src/ir/diagnostics.ts";

/** A fresh folder, removed when the test file is done. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "qkv-weights-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Bytes of a file with this header text and data; `announced` overrides the header length in front. */
export function safetensorsBytes(
  header: string | Uint8Array,
  data: number | Uint8Array = 0,
  announced?: bigint,
): Uint8Array {
  const head = typeof header === "string" ? Buffer.from(header) : header;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(announced ?? BigInt(head.length));
  return Buffer.concat([length, head, typeof data === "number" ? new Uint8Array(data) : data]);
}

export const entry = (dtype: string, shape: readonly unknown[], begin: number, end: number): string =>
  `{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${begin},${end}]}`;

/** Writes files by name into a new folder inside `parent`. */
export function writeFolder(
  parent: string,
  name: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): string {
  const folder = join(parent, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, contents] of Object.entries(files)) writeFileSync(join(folder, file), contents);
  return folder;
}

/** The project's error that `run` throws; any other error, or none, fails the test. */
export function errorOf(run: () => unknown): QkvError {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
