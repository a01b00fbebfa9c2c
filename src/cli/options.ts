import type { Setting, Settings } from "../dsl/model.ts";
import { fail } from "../ir/diagnostics.ts";

/** `batch=1,seq=128` as a map. Throws QKV501 on anything but natural numbers: 0 is what a cache is long before the first token. */
export function parseDims(text: string): ReadonlyMap<string, number> {
  const dims = new Map<string, number>();
  for (const [name, value] of assignments(text, "--dims batch=1,seq=128")) {
    const size = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(size))
      fail("QKV501", `--dims: "${name}" must be a natural number, not "${value}"`);
    if (dims.has(name)) fail("QKV501", `--dims gives "${name}" twice`);
    dims.set(name, size);
  }
  return dims;
}

const sweepHelp = { help: "write --sweep seq=128,512,2048 or --sweep seq=128..8192" };

/**
 * The sets of sizes that sweeps ask for, every size of one with every size of the others, in the order written:
 * `seq=128,512`, `seq=128..8192` (doubling, both ends included), `seq=256..1024:256` (in steps), or several by comma.
 * Throws QKV501.
 */
export function parseSweeps(texts: readonly string[]): readonly ReadonlyMap<string, number>[] {
  let runs: ReadonlyMap<string, number>[] = [new Map()];
  for (const text of texts) {
    const match = /^([A-Za-z_][\w.]*)=(.+)$/.exec(text.trim());
    if (!match) fail("QKV501", `--sweep cannot read "${text}"`, sweepHelp);
    const [, symbol, list] = match as unknown as readonly [string, string, string];
    if (runs[0]!.has(symbol)) fail("QKV501", `--sweep gives "${symbol}" twice`);
    const sizes = new Set(list.split(",").flatMap((part) => sweepSizes(text, part.trim())));
    runs = runs.flatMap((run) => Array.from(sizes, (size) => new Map([...run, [symbol, size] as const])));
    if (runs.length > mostRuns)
      fail("QKV501", `--sweep asks for more than ${mostRuns} runs`, { help: "give fewer sizes" });
  }
  return runs;
}

const mostRuns = 1000;

function sweepSizes(text: string, part: string): readonly number[] {
  const match = /^(\d+)(?:\.\.(\d+)(?::(\d+))?)?$/.exec(part);
  if (!match) fail("QKV501", `--sweep cannot read "${text}"`, sweepHelp);
  const [from, to, step] = match
    .slice(1)
    .map((size) => (size === undefined ? undefined : parseNatural("--sweep", size)));
  if (from === 0 || step === 0) fail("QKV501", `--sweep "${text}": sizes and steps are positive`);
  if (to === undefined) return [from!];
  if (to < from!) fail("QKV501", `--sweep "${text}": ${to} is less than ${from}`);
  const sizes: number[] = [];
  for (let size = from!; size < to && sizes.length <= mostRuns; size = step === undefined ? 2 * size : size + step)
    sizes.push(size);
  return [...sizes, to];
}

/** `layers=12,causal=true,offsets=[0,9]` as model parameters: numbers, true, false, lists and records as JSON, or text. */
export function parseSettings(text: string): Settings {
  const entries = assignments(text, "--set layers=12,window=256").map(([name, value]) => {
    if (value === "true" || value === "false") return [name, value === "true"] as const;
    if (/^[[{]/.test(value)) return [name, parseJson(name, value)] as const;
    return [name, value !== "" && Number.isFinite(Number(value)) ? Number(value) : value] as const;
  });
  return Object.fromEntries(entries);
}

function parseJson(name: string, value: string): Setting {
  try {
    return JSON.parse(value) as Setting;
  } catch {
    const [what, example] = value.startsWith("[") ? ["list", "[0,9,40]"] : ["record", '{"theta":10000}'];
    return fail("QKV501", `--set: "${name}" is no ${what}: ${value}`, { help: `write --set '${name}=${example}'` });
  }
}

function assignments(text: string, example: string): readonly (readonly [name: string, value: string])[] {
  return splitAtCommas(text)
    .filter((part) => part.trim() !== "")
    .map((part) => {
      const at = part.indexOf("=");
      if (at < 1) fail("QKV501", `cannot read "${part.trim()}"`, { help: `write ${example}` });
      return [part.slice(0, at).trim(), part.slice(at + 1).trim()] as const;
    });
}

/** Commas within brackets belong to a list or a record. */
function splitAtCommas(text: string): readonly string[] {
  const parts = [""];
  let depth = 0;
  for (const char of text) {
    if (char === "[" || char === "{") depth++;
    if (char === "]" || char === "}") depth--;
    if (char === "," && depth <= 0) parts.push("");
    else parts[parts.length - 1] += char;
  }
  return parts;
}

/** An option there must be. Commander's own would be asked for before misspelt ones are told. Throws QKV501. */
export const required = (option: string, text: string | undefined): string =>
  text ?? fail("QKV501", `required option '${option}' not specified`, { help: "see --help after the command" });

/** An option that must be a natural number. */
export function parseNatural(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    fail("QKV501", `${option} takes a natural number, not "${text}"`);
  return value;
}
