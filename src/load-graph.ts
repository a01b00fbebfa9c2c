import { existsSync } from "node:fs";
import { decodeUtf8, openRegular, readRange } from "./backends/weights/regular-file.ts";
import { openSafetensors } from "./backends/weights/safetensors.ts";
import type { Declared } from "./compile.ts";
import { Arena } from "./ir/arena.ts";
import { fail } from "./ir/diagnostics.ts";
import { parseGraph } from "./ir/parse.ts";

/** The file beside a graph's text that holds the constants the text names by digest. */
export const constantsBeside = (path: string): string => path.replace(/\.ir$/, ".constants.safetensors");

const mostBytes = 2 ** 28;

/**
 * The graph of a `.ir` file, the text form of docs/ir.md; nothing in it is run. Throws QKV130 where the file is too large or
 * no text, QKV220 to QKV224 for text that is no graph, and what reading files throws.
 */
export function loadGraph(path: string): Declared {
  const file = openRegular(path);
  if (file.size > mostBytes) fail("QKV130", `${path}: ${file.size} bytes are too many for a graph's text`);
  const text = decodeUtf8(readRange(file, 0, file.size)) ?? fail("QKV130", `${path} is not valid UTF-8`);
  const arena = new Arena();
  return { graph: parseGraph(text, arena, { file: path, ...constantsOf(path) }), arena };
}

function constantsOf(path: string) {
  const beside = constantsBeside(path);
  if (!existsSync(beside)) return {};
  const store = openSafetensors(beside);
  return { constants: new Map(store.names().map((name) => [name, store.read(name)])) };
}
