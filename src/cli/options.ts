import { fail } from "../ir/diagnostics.ts";

/** `batch=1,seq=128` as a map. Throws QKV501 on anything but positive integers. */
export function parseDims(text: string): ReadonlyMap<string, number> {
  const dims = new Map<string, number>();
  for (const [name, value] of assignments(text, "--dims batch=1,seq=128")) {
    const size = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(size) || size === 0)
      fail("QKV501", `--dims: "${name}" must be a positive integer, not "${value}"`);
    if (dims.has(name)) fail("QKV501", `--dims gives "${name}" twice`);
    dims.set(name, size);
  }
  return dims;
}

/** `seq=128,512` as the symbol and its sizes. */
export function parseSweep(text: string): { readonly symbol: string; readonly sizes: readonly number[] } {
  const match = /^([A-Za-z_][\w.]*)=(\d+(?:,\d+)*)$/.exec(text.trim());
  if (!match) fail("QKV501", `--sweep cannot read "${text}"`, { help: "write --sweep seq=128,512,2048" });
  return { symbol: match[1]!, sizes: match[2]!.split(",").map((size) => parseNatural("--sweep", size)) };
}

/** `layers=12,causal=true` as model parameters: numbers, true, false, or text. */
export function parseSettings(text: string): Readonly<Record<string, number | boolean | string>> {
  const entries = assignments(text, "--set layers=12,window=256").map(([name, value]) => {
    if (value === "true" || value === "false") return [name, value === "true"] as const;
    return [name, value !== "" && Number.isFinite(Number(value)) ? Number(value) : value] as const;
  });
  return Object.fromEntries(entries);
}

function assignments(text: string, example: string): readonly (readonly [name: string, value: string])[] {
  return text
    .split(",")
    .filter((part) => part.trim() !== "")
    .map((part) => {
      const at = part.indexOf("=");
      if (at < 1) fail("QKV501", `cannot read "${part.trim()}"`, { help: `write ${example}` });
      return [part.slice(0, at).trim(), part.slice(at + 1).trim()] as const;
    });
}

/** An option that must be a natural number. */
export function parseNatural(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    fail("QKV501", `${option} takes a natural number, not "${text}"`);
  return value;
}

/** One of a fixed set of words. */
export function parseChoice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  return (
    choices.find((choice) => choice === text) ??
    fail("QKV501", `${option} "${text}" is unknown`, { help: `choose ${choices.join(", ")}` })
  );
}
