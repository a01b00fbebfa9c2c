import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { InitializeHook, LoadHook, ResolveHook } from "node:module";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

/**
 * Module hooks with which Node reads model files: `qkv` is this very package wherever the file lies, and TypeScript is
 * stripped of its types, line by line mapped back by an inline source map.
 */
let entry = "";

export const initialize: InitializeHook<{ readonly entry: string }> = (data) => {
  entry = data.entry;
};

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === "qkv") return { url: entry, format: "module", shortCircuit: true };
  try {
    return await next(specifier, context);
  } catch (error) {
    const sibling = typeScriptSibling(specifier, context.parentURL);
    if (sibling === undefined) throw error;
    return { url: sibling, format: "module", shortCircuit: true };
  }
};

/** `./part` and `./part.js` may stand for `./part.ts`, as in TypeScript's own resolution. */
function typeScriptSibling(specifier: string, parent: string | undefined): string | undefined {
  if (!/^\.{1,2}\//.test(specifier) || parent === undefined) return undefined;
  const { href } = new URL(`${specifier.replace(/\.m?js$/, "")}.ts`, parent);
  return existsSync(fileURLToPath(href)) ? href : undefined;
}

export const load: LoadHook = async (url, context, next) => {
  const path = url.startsWith("file:") ? fileURLToPath(url) : "";
  // What strips types strips `with { type: "json" }` too, without which Node takes no JSON.
  if (path.endsWith(".json") && context.importAttributes.type !== "json")
    return { format: "module", source: `export default ${await readJson(path)}`, shortCircuit: true };
  if (/\.m?ts$/.test(path)) return { format: "module", source: await strip(path), shortCircuit: true };
  if (!path.endsWith(".js") || path.includes("node_modules")) return next(url, context);
  const source = await readFile(path, "utf8");
  // Beside no package.json, Node takes .js for CommonJS; a declaration is written with import and export.
  return /^\s*(import|export)\b/m.test(source) ? { format: "module", source, shortCircuit: true } : next(url, context);
};

async function readJson(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new SyntaxError(`${path} is no JSON: ${(error as Error).message}`);
  }
}

async function strip(path: string): Promise<string> {
  const { code } = await transform(await readFile(path, "utf8"), {
    loader: "ts",
    sourcefile: path,
    sourcemap: "inline",
    target: "es2023",
  });
  return code;
}
