import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { writeTensors } from "./backends/ort/tensor-files.ts";
import { fail } from "./ir/diagnostics.ts";
import { constantTable, printGraph } from "./ir/print.ts";
import { constantsBeside } from "./load-graph.ts";
import { storeOf } from "./reduce-checks.ts";
import type { Case } from "./reduce-steps.ts";

/** Names of the files that need to be given, as options of a command. */
export const fileOptions = (one: Case): string =>
  `--inputs inputs.safetensors${storeOf(one).names().length > 0 ? " --weights weights.safetensors" : ""}`;

/** Writes a case into a folder: `graph.ir`, `inputs.safetensors`, and weights and large constants where it has any. */
export function writeCase(folder: string, one: Case): void {
  const text = join(folder, "graph.ir");
  writeFileSync(text, printGraph(one.graph, { arena: one.arena, locations: true }));
  writeTensors(join(folder, "inputs.safetensors"), one.feeds);
  const weights = storeOf(one);
  const named = weights.names().map((name) => [name, weights.read(name)] as const);
  if (named.length > 0) writeTensors(join(folder, "weights.safetensors"), new Map(named));
  const constants = constantTable(one.graph);
  if (constants.size > 0) writeTensors(constantsBeside(text), constants);
}

/** Writes a case and what is to be said of it into a new folder, which appears whole or not at all. Throws QKV507. */
export function writeFolder(folder: string, one: Case, readme: string): void {
  let made: string | undefined;
  try {
    made = mkdtempSync(join(dirname(resolve(folder)), ".qkv-"));
    writeCase(made, one);
    writeFileSync(join(made, "README.md"), readme);
    renameSync(made, folder);
  } catch (error) {
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
    fail("QKV507", `cannot write ${folder}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
