import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BuildOptions, build, type TransformOptions, transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildTimeout, built, checkout } from "../cli/support/command.ts";

/**
 * A program that uses the library, in a folder with spaces and letters beyond ASCII, run as TypeScript runners and
 * bundlers leave it: it says whether every mask means what the function says, and where an undeclared name stands.
 */
const folder = mkdtempSync(join(tmpdir(), "qkv hosts ünï "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sources = {
  "masks.ts": `
import type { MaskFunction } from "qkv";
export const causal: MaskFunction = ({ q, k }) => k <= q;
export const window = (size: number): MaskFunction => ({ q, k }) => Math.abs(q - k) < size;
export const and = (...masks: readonly MaskFunction[]): MaskFunction => (at) => masks.every((mask) => mask(at));
export enum Reach { Wide = 3, Narrow = 1 }
export const sizes = { near: 4, deep: { far: 9 } } as const;
export default function never({ q, k }: { q: number; k: number }): boolean { return q > k + 100; }
export const table = Uint8Array.from({ length: 64 }, (_, i) => i % 3);
export let live = 2;
export const setLive = (value: number): void => void (live = value);
`,
  "plain.js": `
const offset = 2;
export const helper = (a, b) => a * offset === b;
`,
  "again.ts": `
export * as everything from "./masks.ts";
export { causal as renamed } from "./masks.ts";
`,
  "main.ts": `
import { attention, input, maskTable, model, type MaskFunction } from "qkv";
import { everything, renamed } from "./again.ts";
import never, { and, causal, live, Reach, setLive, sizes, table, window } from "./masks.ts";
import * as all from "./masks.ts";
import { helper } from "./plain.js";

const local = 5;
let changing = 2;
changing += 1;
class Holder { static size = 6; static mask({ q, k }: { q: number; k: number }) { return q - k < Holder.size; } }
const spans = [{ start: 0 }, { start: 3 }];
const made = (inner: number): MaskFunction => {
  function near(a: number, b: number, by = inner) { const d = a - b; if (d < 0) return -d < by; return d < by; }
  return (at) => {
    const { b, h, q, k } = at;
    const twice = (x: number) => x * 2;
    function thrice(x: number) { return x * 3; }
    switch (h) {
      case 0:
        return and(causal, window(inner))(at) || never(at) || (all.causal(at) && near(q, k) && twice(k) < thrice(q));
      default:
        return (table[q] === table[k] && q - k < sizes.deep.far + local + changing + Reach.Wide) || Holder.mask(at) || helper(q, k) || q >= spans[b]!.start;
    }
  };
};
const loops: MaskFunction = ({ q, k }) => {
  let n = 0;
  for (let i = 0; i < 4; i++) { if (i === q) continue; n += i; if (n > k) break; }
  const ok = n > 3 ? q < k : q > k;
  if (ok) n++; else n--;
  return n % 2 === 0;
};
const lets: MaskFunction = ({ q, k }) => q - k < live + changing;
function declared({ q, k }: { q: number; k: number }): boolean { return above(q) || k < local; }
const above = (q: number) => q > local;

const size = 12;
const lengths = { B: 2, H: 2, Q: size, K: size };
const formulaOf = (mask: MaskFunction) =>
  model("m", () => {
    const q = input("q", "f32", [2, 2, size, 8]);
    return { y: attention(q, q, q, { mask }) };
  }).build().masks[0]!.formula;

const { indexEvaluator } = await import(process.env.EVALUATE!);
function check(name: string, mask: MaskFunction) {
  const evaluate = indexEvaluator(formulaOf(mask));
  const wrong = [...maskTable(mask, lengths).data].filter((wanted, i) => {
    const [b, h] = [Math.floor(i / (2 * size * size)), Math.floor(i / (size * size)) % 2];
    const [q, k] = [Math.floor(i / size) % size, i % size];
    return evaluate({ b, h, q, k, lengths }) !== Number(wanted);
  });
  if (wrong.length > 0) console.log("wrong: " + name);
}
for (const [name, mask] of Object.entries({ made: made(8), loops, lets, declared, holder: Holder.mask, renamed, shifted: (at) => causal({ ...at, q: at.q + 2 }), everything: (at) => everything.causal(at) } as Record<string, MaskFunction>)) check(name, mask);
setLive(7);
changing = 1;
check("changed lets", lets);
const undeclared: MaskFunction = ({ q, k }) => {
  const x = q + 1;
  return x < (missing as number) + k;
};
declare const missing: number;
try {
  formulaOf(undeclared);
} catch (error) {
  const { code, details: { location } } = error as { code: string; details: { location: { file: string; line: number; column: number; endColumn: number } } };
  console.log(code, location.file.replace(/^.*[\\\\/]/, "") + ":" + location.line + ":" + location.column + "-" + location.endColumn);
}
`,
};

beforeAll(async () => {
  await built();
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(checkout, join(folder, "node_modules/qkv"), "junction");
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text.trimStart());
}, buildTimeout);

const line =
  sources["main.ts"]
    .trimStart()
    .split("\n")
    .findIndex((text) => text.includes("missing as")) + 1;
const column = sources["main.ts"].trimStart().split("\n")[line - 1]!.indexOf("missing") + 1;
const ofSource = `QKV141 main.ts:${line}:${column}-${column + 7}`;

function run(file: string, flags: readonly string[] = []): Promise<string> {
  const env = { ...process.env, EVALUATE: join(checkout, "dist/src/ir/index-expr/evaluate.js") };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, file], { env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part) => (text += part));
    child.stderr.setEncoding("utf8").on("data", (part) => (text += part));
    child.once("error", reject);
    child.once("close", () => resolve(text.trim()));
  });
}

describe("file by file, as tsx does", () => {
  test.each<TransformOptions>([
    { sourcemap: "inline", keepNames: true },
    { sourcemap: "inline", minify: true },
    { keepNames: true, minify: true },
    { target: "es2017", supported: { "top-level-await": true } },
  ])("%o", async (options) => {
    const out = join(folder, `files ${Object.keys(options).join(" ")}`);
    mkdirSync(out);
    writeFileSync(join(out, "package.json"), '{ "type": "module" }');
    for (const name of Object.keys(sources)) {
      const path = join(folder, name);
      const loader = name.endsWith("ts") ? "ts" : "js";
      const given = { loader, sourcefile: path, format: "esm", target: "node20", ...options } as const;
      const { code } = await transform(readFileSync(path, "utf8"), given);
      writeFileSync(join(out, name.replace(/\.ts$/, ".js")), code.replace(/"\.\/(\w+)\.ts"/g, '"./$1.js"'));
    }
    const said = await run(join(out, "main.js"));
    expect(said).toMatch(options.sourcemap ? new RegExp(`^${ofSource}$`) : /^QKV141 main\.js:\d+:\d+-\d+$/);
  });
});

describe("bundled", () => {
  test.each<BuildOptions>([
    {},
    { minify: true },
    { minify: true, keepNames: true, sourcemap: "inline" },
    { minify: true, sourcemap: true },
    { splitting: true, minify: true },
  ])("%o", async (options) => {
    const outdir = join(folder, `bundle ${Object.keys(options).join(" ")}`);
    const entry = { entryPoints: [join(folder, "main.ts")], outExtension: { ".js": ".mjs" }, outdir };
    await build({ ...entry, bundle: true, external: ["qkv"], platform: "node", format: "esm", ...options });
    const said = await run(join(outdir, "main.mjs"));
    expect(said).toMatch(options.sourcemap ? new RegExp(`^${ofSource}$`) : /^QKV141 main\.mjs:\d+:\d+-\d+$/);
  });
});

test("where the runtime does not tell what a function captured, the error names it and says what helps", async () => {
  const file = join(folder, "hidden.mjs");
  const program = `
import { attention, input, model } from "qkv";
const window = 4;
const declared = (mask) => model("hidden", () => {
  const q = input("q", "f32", [1, 2, 8, 8]);
  return { y: attention(q, q, q, { mask }) };
});
declared(({ q, k }, window = 4) => q - k < window).build();
try {
  declared(({ q, k }) => q - k < window).build();
} catch (error) {
  console.log(error.code, error.message, error.details.help);
}`;
  writeFileSync(file, program.trimStart());
  // A process without permissions has no inspector.
  const flag = process.allowedNodeEnvironmentFlags.has("--permission") ? "--permission" : "--experimental-permission";
  const said = await run(file, [flag, "--allow-fs-read=*", "--no-warnings"]);
  expect(said).toMatch(/^QKV141 window is captured by the function, and this runtime does not tell what it is /);
  expect(said).toContain("give it as a parameter with a default: ({ q, k }, window = …) => …");
});
