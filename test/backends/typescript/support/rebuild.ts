import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { decompile } from "../../../../src/backends/typescript/decompile.ts";
import { loadModel } from "../../../../src/dsl/load.ts";
import type { Built } from "../../../../src/dsl/model.ts";

const folder = mkdtempSync(join(tmpdir(), "qkv-decompile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;

/** A graph as a model file, and what that file builds. */
export async function rebuild({ graph, arena }: Pick<Built, "graph" | "arena">) {
  const { source, tensors } = decompile(graph, arena, { hints: arena });
  const path = join(folder, `${files++}.ts`);
  writeFileSync(path, source);
  return { source, tensors, path, built: (await loadModel(path)).build() };
}
