import { renameSync, rmSync, writeFileSync } from "node:fs";
import { type DiagnosticCode, fail } from "../ir/diagnostics.ts";

/** Writes beside the file first, then in its place: it is there whole or not at all. Throws `code`. */
export function writeWhole(path: string, content: string | Uint8Array, code: DiagnosticCode): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    fail(code, `cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
