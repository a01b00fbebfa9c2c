import { readFile, stat } from "node:fs/promises";
import { register } from "node:module";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Message, transform } from "esbuild";
import { fail, QkvError, type SourceLocation } from "../ir/diagnostics.ts";
import { describe } from "./checks.ts";
import { isAuthors, isModel, type Model } from "./model.ts";
import { locationIn } from "./site.ts";
import { timeLimit, within } from "./time-limit.ts";

export interface LoadOptions {
  /** How long the file may take to be evaluated, in milliseconds; `timeLimit` by default. */
  readonly timeoutMs?: number;
}

const extensions = [".ts", ".mts", ".js", ".mjs"];
// Compiled, the project runs on Node itself, which needs hooks to read TypeScript; from source, on what reads it already.
const compiled = import.meta.url.endsWith(".js");
let hooked = false;

/**
 * The model a file declares as its default export. Running a model file runs its code: only open files you trust.
 * Throws QKV115 and QKV130 to QKV138, with the place in the file where there is one.
 */
export async function loadModel(path: string, { timeoutMs = timeLimit }: LoadOptions = {}): Promise<Model> {
  const file = resolve(path);
  await checkFile(file, path);
  installHooks();
  const loaded = await within(timeoutMs, path, () => evaluate(file));
  if (!Object.hasOwn(loaded, "default"))
    return fail("QKV132", `${path} has no default export`, { location: start(file), help: suggestDefault(loaded) });
  const declared = loaded.default;
  if (isModel(declared)) return declared;
  return fail("QKV133", `the default export of ${path} is ${describe(declared)}, not a model`, {
    location: start(file),
    help: 'write: export default model("name", () => { … })',
  });
}

const start = (file: string): SourceLocation => ({ file, line: 1, column: 1 });

function suggestDefault(exports: Readonly<Record<string, unknown>>): string {
  const named = Object.keys(exports).find((name) => isModel(exports[name]));
  return named === undefined ? 'write: export default model("name", () => { … })' : `write: export default ${named}`;
}

/** Throws QKV130, QKV131 and QKV138: what can be known of a file before it runs. */
async function checkFile(file: string, path: string): Promise<void> {
  if (!extensions.includes(extname(file)))
    fail("QKV138", `${path} is no model file`, {
      help: `a model is declared in a file ending in ${extensions.join(", ")}; commands also read .onnx and .ir`,
    });
  const source = await readSource(file, path);
  const loader = file.endsWith("ts") ? "ts" : "js";
  try {
    await transform(source, { loader, sourcefile: file, logLevel: "silent" });
  } catch (error) {
    throw syntaxError(error, file);
  }
}

async function readSource(file: string, path: string): Promise<string> {
  const about = await stat(file).catch((error: NodeJS.ErrnoException) =>
    fail("QKV130", `${path} cannot be opened: ${error.code === "ENOENT" ? "there is no such file" : error.message}`),
  );
  if (!about.isFile()) return fail("QKV130", `${path} is not a file`);
  return readFile(file, "utf8").catch((error: Error) => fail("QKV130", `${path} cannot be read: ${error.message}`));
}

/** esbuild's first error as ours. Its columns count UTF-8 bytes from 0. */
function syntaxError(error: unknown, file: string): unknown {
  const first = (error as { errors?: readonly Message[] }).errors?.[0];
  if (!first) return error;
  const { location } = first;
  const column = location ? Buffer.from(location.lineText).subarray(0, location.column).toString().length + 1 : 1;
  const place = location?.file && location.file !== "<stdin>" ? resolve(location.file) : file;
  return new QkvError("QKV131", `syntax error: ${first.text}`, {
    location: {
      file: place,
      line: location?.line ?? 1,
      column,
      endColumn: column + Math.max(1, location?.length ?? 1),
    },
  });
}

function installHooks(): void {
  if (hooked || !compiled) return;
  hooked = true;
  process.setSourceMapsEnabled(true);
  const data = { entry: new URL("../index.js", import.meta.url).href };
  register(new URL("./loader-hooks.js", import.meta.url), { data });
}

async function evaluate(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw await loadError(error, file);
  }
}

/** What went wrong while a model file was imported, as one error with a place. */
async function loadError(error: unknown, file: string): Promise<unknown> {
  if (error instanceof QkvError) return error;
  if (!(error instanceof Error))
    return new QkvError("QKV134", `${file} threw ${describe(error)}`, { location: start(file) });
  if ("errors" in error) return syntaxError(error, file);
  const missing = /does not provide an export named '([^']+)'/.exec(error.message)?.[1];
  if (missing !== undefined)
    return new QkvError("QKV137", `there is no "${missing}" to import`, { location: await find(file, missing) });
  const absent = /Cannot find (?:package|module) '([^']+)'|Failed to (?:load url|resolve import) "?([^\s"]+)/.exec(
    error.message,
  );
  if (absent) {
    const name = absent[1] ?? absent[2]!;
    const shown = name
      .split("/")
      .at(-1)!
      .replace(/\.\w+$/, "");
    return new QkvError("QKV137", `cannot find the module ${name}`, { location: await find(file, shown) });
  }
  const location =
    locationIn(error.stack ?? "", (place) => isAuthors(place) && !place.includes("node_modules")) ?? start(file);
  return Object.assign(new QkvError("QKV134", `${error.name}: ${error.message}`, { location }), { cause: error });
}

/** The first place `text` stands in a file. */
async function find(file: string, text: string): Promise<SourceLocation> {
  const source = await readFile(file, "utf8").catch(() => "");
  const at = source.indexOf(text);
  if (at < 0) return start(file);
  const before = source.slice(0, at).split("\n");
  const column = before.at(-1)!.length + 1;
  return { file, line: before.length, column, endColumn: column + text.length };
}
