import type { SourceMap } from "node:module";
import type { SourceLocation } from "../../ir/diagnostics.ts";
import { type Captures, capturesOf, inspecting, type LiveFunction } from "./captures.ts";

interface Script {
  readonly url: string;
  readonly map: SourceMap | undefined;
}

const scripts = new Map<string, Script | undefined>();

/**
 * Where a piece of a function's own text stands in the author's file, through the source map of the script that runs.
 * `start` and `end` count characters of `fn.toString()`. Undefined where the runtime does not say.
 */
export function placeOf(fn: LiveFunction, start: number, end: number): SourceLocation | undefined {
  try {
    const from = capturesOf(fn)?.script;
    const script = from && scriptOf(from.id);
    if (!script) return undefined;
    const text = fn.toString();
    const base = parametersStart(text);
    const at = (offset: number) => original(script, moved(text, base, offset, from), blanksBefore(text, offset));
    const first = at(start);
    const last = at(end);
    if (!first) return undefined;
    const piece = text.slice(start, end);
    const sought = sameText(first, piece);
    if (sought) return sought;
    const sameLine = last && last.file === first.file && last.line === first.line;
    return { ...first, ...(sameLine && last.column > first.column && { endColumn: last.column }) };
  } catch {
    return undefined;
  }
}

/** The place nearest to `from` in its line that reads as `piece` does; a minifier leaves few places mapped. */
function sameText(from: SourceLocation, piece: string): SourceLocation | undefined {
  if (piece.includes("\n")) return undefined;
  const line = lineOf(from.file, from.line);
  let best = -1;
  for (let at = line.indexOf(piece); at >= 0; at = line.indexOf(piece, at + 1))
    if (best < 0 || Math.abs(at + 1 - from.column) < Math.abs(best + 1 - from.column)) best = at;
  return best < 0 ? undefined : { ...from, column: best + 1, endColumn: best + 1 + piece.length };
}

/** What an author's file says at a place within a line. */
export function writtenAt({ file, line, column, endColumn }: SourceLocation): string | undefined {
  if (endColumn === undefined) return undefined;
  return lineOf(file, line).slice(column - 1, endColumn - 1);
}

function lineOf(file: string, line: number): string {
  const { readFileSync } = process.getBuiltinModule("node:fs");
  return readFileSync(file, "utf8").split("\n")[line - 1] ?? "";
}

/** Whether a function is written in JavaScript by the runtime's own authors. */
export const isOfRuntime = (captures: Captures | undefined): boolean =>
  captures?.script !== undefined && scriptOf(captures.script.id)?.url.startsWith("node:") === true;

/** The runtime places a function at its first parenthesis, or at the parameter of `x => …`. */
function parametersStart(text: string): number {
  const arrow = /^(async\s*\(|(async\s+)?[\w$]+\s*=>)/.test(text);
  return arrow ? 0 : Math.max(0, text.indexOf("("));
}

type Point = { readonly line: number; readonly column: number };

/** The place of character `to`, where that of character `from` is known. */
function moved(text: string, from: number, to: number, start: Point): Point {
  const between = text.slice(Math.min(from, to), Math.max(from, to));
  const breaks = between.split("\n");
  if (to < from) return { line: start.line, column: start.column - between.length };
  if (breaks.length === 1) return { line: start.line, column: start.column + between.length };
  return { line: start.line + breaks.length - 1, column: breaks.at(-1)!.length };
}

const blanksBefore = (text: string, offset: number) => /[ \t]*$/.exec(text.slice(0, offset))![0].length;

/** `blanks`: how many stand before the place; a mapped place may lie before them. */
function original({ url, map }: Script, { line, column }: Point, blanks: number): SourceLocation | undefined {
  const entry = map?.findEntry(line, column);
  if (!map) return { file: fileOf(url, url), line: line + 1, column: column + 1 };
  if (!entry || !("originalSource" in entry) || !entry.originalSource) return undefined;
  // Between two mapped places, characters are taken to stand side by side as they do in what runs.
  const beyond = entry.generatedLine === line ? column - entry.generatedColumn : 0;
  return {
    file: fileOf(entry.originalSource, url),
    line: entry.originalLine + 1,
    column: entry.originalColumn + 1 + (beyond > blanks ? beyond : 0),
  };
}

function fileOf(source: string, url: string): string {
  const { fileURLToPath, pathToFileURL } = process.getBuiltinModule("node:url");
  const base = url.startsWith("file:") ? url : pathToFileURL(url).href;
  return fileURLToPath(new URL(source.startsWith("/") ? pathToFileURL(source).href : source, base)).replace(
    /\?[^?]*$/,
    "",
  );
}

interface Parsed {
  readonly scriptId: string;
  readonly url: string;
  readonly sourceMapURL?: string | undefined;
}

/** Asks the runtime for all its scripts, once for each that is not known. */
function scriptOf(id: string): Script | undefined {
  if (scripts.has(id)) return scripts.get(id);
  const found = inspecting((post, session) => {
    let parsed: Parsed | undefined;
    session.on("Debugger.scriptParsed", ({ params }) => {
      if (params.scriptId === id) parsed = params;
    });
    post("Debugger.enable");
    post("Debugger.disable");
    return parsed;
  });
  const script = found?.url ? { url: found.url, map: mapOf(found) } : undefined;
  scripts.set(id, script);
  return script;
}

function mapOf({ url, sourceMapURL = "" }: Parsed): SourceMap | undefined {
  if (sourceMapURL === "") return undefined;
  const { SourceMap: Decoder } = process.getBuiltinModule("node:module");
  const inline = /^data:[^,]*?(;base64)?,(.*)$/s.exec(sourceMapURL);
  const text = inline
    ? inline[1]
      ? Buffer.from(inline[2]!, "base64").toString()
      : decodeURIComponent(inline[2]!)
    : process.getBuiltinModule("node:fs").readFileSync(fileOf(sourceMapURL, url), "utf8");
  return new Decoder(JSON.parse(text));
}
