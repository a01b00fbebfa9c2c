import { renameSync, rmSync, writeFileSync } from "node:fs";
import { fail } from "../ir/diagnostics.ts";

/** Writes beside the file first, then in its place: it is there whole or not at all. Throws QKV507. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    const why = error instanceof Error ? error.message : String(error);
    fail("QKV507", `cannot write ${path}: ${why.replaceAll(temporary, path)}`);
  }
}
