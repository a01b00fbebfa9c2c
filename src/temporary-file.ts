import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs `body` with a file of this name and text in a folder of its own, which is gone when it settles. */
export async function withTemporaryFile<T>(name: string, text: string, body: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "qkv-"));
  try {
    const path = join(folder, name);
    writeFileSync(path, text);
    return await body(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
