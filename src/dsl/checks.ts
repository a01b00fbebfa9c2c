import { type DiagnosticCode, fail } from "../ir/diagnostics.ts";
import type { Dim } from "../ir/dim.ts";
import { parseDim } from "../ir/dim-parse.ts";
import { type DType, dtypes, isDType } from "../ir/dtype.ts";
import { axisFromFirst } from "../ir/types.ts";
import type { DimLike } from "./shape-types.ts";

const nameLimit = 1024;

/** Short text for any JavaScript value an author may have passed. */
export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "function") return `the function ${value.name || "given"}`;
  if (Array.isArray(value)) return `[${value.slice(0, 8).map(describe).join(", ")}${value.length > 8 ? ", …" : ""}]`;
  if (typeof value === "bigint") return `${value}n`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** The dimension an author wrote. Throws QKV101 unless it is a positive integer, a symbol or an expression of symbols. */
export function toDim(value: DimLike, what: string): Dim {
  if (typeof value === "number") return positiveInteger(value, what);
  if (typeof value === "object" && value !== null && "terms" in value) return value;
  if (typeof value !== "string")
    return fail("QKV101", `${what} is ${describe(value)}; a dimension is a positive integer or a name`);
  if (/^\s*[-+]?\d+(\.\d+)?\s*$/.test(value))
    return fail("QKV101", `${what} is the text ${describe(value)}`, { help: `write the number: ${value.trim()}` });
  return parseDim(value);
}

/** A dimension, 0 among them. */
export const anyDim = (value: unknown, what: string): Dim =>
  Number.isSafeInteger(value) ? (value as number) : toDim(value as DimLike, what);

/** Throws QKV101 unless `value` is an integer from 1 to 2^53 - 1. */
export function positiveInteger(value: unknown, what: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  return fail("QKV101", `${what} is ${describe(value)}; it must be a positive integer`);
}

/** Throws QKV120 unless `value` is a finite number. */
export function finite(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  return fail("QKV120", `${what} is ${describe(value)}; it must be a finite number`);
}

/** The dims of a declaration. Throws QKV101 where one is no dimension. */
export function toDims(dims: readonly DimLike[], what: string): readonly Dim[] {
  if (!Array.isArray(dims)) return fail("QKV101", `the dims of ${what} are ${describe(dims)}; write a list`);
  return dims.map((dim, i) => toDim(dim, `dimension ${i + 1} of ${what}`));
}

/** Throws QKV102 unless `name` can stand in a model file: text, not empty, at most 1024 characters, printable. */
export function checkName(name: unknown, what: string): string {
  if (typeof name !== "string") return fail("QKV102", `${what} is ${describe(name)}; it must be text`);
  if (name === "") return fail("QKV102", `${what} is empty`);
  if (name.length > nameLimit)
    return fail("QKV102", `${what} ${describe(name)} has ${name.length} characters; the limit is ${nameLimit}`);
  const bad = [...name].find((character) => /[\p{Cc}\p{Cs}]/u.test(character));
  if (bad !== undefined) {
    const code = `U+${bad.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
    return fail("QKV102", `${what} ${describe(name)} holds ${code}`, { help: "use printable characters" });
  }
  return name;
}

/** Throws QKV109 unless `dtype` is an element type. */
export function checkDType(dtype: unknown, what: string): DType {
  if (typeof dtype === "string" && isDType(dtype)) return dtype;
  return fail("QKV109", `the element type of ${what} is ${describe(dtype)}`, {
    help: `choose of ${dtypes.join(", ")}`,
  });
}

/** The options given, after checking that there are no others. Throws QKV120. */
export function checkOptions<T extends object>(given: T | undefined, known: readonly string[], what: string): T {
  if (given === undefined) return {} as T;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    return fail("QKV120", `the options of ${what} are ${describe(given)}; write { ${known[0] ?? ""}: … }`);
  for (const key of Object.keys(given))
    if (!known.includes(key))
      fail("QKV120", `${what} has no option ${describe(key)}`, { help: `its options are ${known.join(", ")}` });
  return given;
}

/** The axis counted from 0. Throws QKV110 outside `[-rank, rank)`. */
export function checkAxis(axis: unknown, rank: number, what: string, code: DiagnosticCode = "QKV110"): number {
  if (Number.isSafeInteger(axis) && (axis as number) >= -rank && (axis as number) < rank)
    return axisFromFirst(axis as number, rank);
  return fail(code, `${what}: axis ${describe(axis)} does not fit rank ${rank}`);
}
