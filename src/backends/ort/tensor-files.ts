import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fail } from "../../ir/diagnostics.ts";
import { allocate, type DType, dtypes, isDType, isFloat, isInteger } from "../../ir/dtype.ts";
import { jsonText } from "../../ir/printable.ts";
import { elementCount, fromNumbers, type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { quoteName } from "../weights/quote-name.ts";
import { decodeUtf8, openRegular, readRange } from "../weights/regular-file.ts";
import { openSafetensors } from "../weights/safetensors.ts";
import { writeSafetensors } from "../weights/safetensors-write.ts";
import { isJsonArray, isJsonObject, type JsonRules, type JsonValue, readJsonMembers } from "../weights/strict-json.ts";

/** A JavaScript string holds no more than 2^29 − 24 characters. */
const maxJsonBytes = 2 ** 29 - 24;
/** Per tensor; as JSON values they take up to sixteen bytes each while being read. */
const maxElements = 2 ** 27;

const format = (path: string): "safetensors" | "json" => {
  const extension = extname(path).toLowerCase();
  if (extension === ".safetensors") return "safetensors";
  if (extension === ".json") return "json";
  return fail("QKV446", `${path}: tensors are kept in files ending in .safetensors or .json`);
};

/**
 * Reads named tensors from a `.safetensors` or `.json` file, in the file's order.
 * Throws QKV446 for other files, QKV447 and QKV448 for JSON that is not right, and what the safetensors reader throws.
 */
export function readTensors(path: string): Map<string, HostTensor> {
  if (format(path) === "safetensors") {
    const store = openSafetensors(path);
    return new Map(store.names().map((name) => [name, store.read(name)]));
  }
  const file = openRegular(path);
  if (file.size > maxJsonBytes)
    fail("QKV446", `${path}: ${file.size} bytes of JSON are too many`, { help: "use a .safetensors file" });
  const text = decodeUtf8(readRange(file, 0, file.size));
  return parseTensors(text ?? fail("QKV447", `${path} is not valid UTF-8`), path);
}

/** Writes named tensors to a `.safetensors` or `.json` file, which appears complete or not at all. Throws QKV446. */
export function writeTensors(path: string, tensors: ReadonlyMap<string, HostTensor>): void {
  if (format(path) === "safetensors") writeSafetensors(path, tensors);
  else writeWhole(path, formatTensors(tensors));
}

function writeWhole(path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  let created = false;
  try {
    const descriptor = openSync(temporary, "wx");
    created = true;
    try {
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    if (created) rmSync(temporary, { force: true });
    fail("QKV446", `${path} cannot be written: ${error instanceof Error ? error.message : error}`);
  }
}

const wordOf = new Map([
  [Number.POSITIVE_INFINITY, "Infinity"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
]);
const numberOf = new Map([...[...wordOf].map(([value, word]) => [word, value] as const), ["NaN", Number.NaN]]);

/**
 * The JSON form: `{ name: { dtype, dims, data } }`, one line per tensor, `data` flat and row-major. Every value reads
 * back to the same bits (NaN to the standard NaN): "NaN", "Infinity", "-Infinity" and integers beyond 2^53 are strings.
 */
export function formatTensors(tensors: ReadonlyMap<string, HostTensor>): string {
  const lines = [...tensors].map(([name, tensor]) => {
    const head = `"dtype": "${tensor.dtype}", "dims": [${tensor.dims.join(", ")}]`;
    return `  ${jsonText(name)}: { ${head}, "data": [${elementTexts(tensor).join(", ")}] }`;
  });
  return lines.length === 0 ? "{}\n" : `{\n${lines.join(",\n")}\n}\n`;
}

function elementTexts(tensor: HostTensor): string[] {
  if (tensor.dtype === "i64") return Array.from(tensor.data as BigInt64Array, bigintText);
  const values = Array.from(toFloat64(tensor));
  return tensor.dtype === "bool" ? values.map((value) => `${value !== 0}`) : values.map(numberText);
}

const bigintText = (value: bigint): string => (Number.isSafeInteger(Number(value)) ? `${value}` : `"${value}"`);

function numberText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) ? `${value}` : `"${wordOf.get(value) ?? "NaN"}"`;
}

/** Reads the JSON form. `file` is for messages. Throws QKV447 for malformed JSON, QKV448 for malformed tensors. */
export function parseTensors(text: string, file: string): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  const rules: JsonRules = {
    maxDepth: 8,
    maxItems: maxElements,
    numbers: "any",
    reject: (_, message, position) => fail("QKV447", `${file}: ${message}`, { location: locate(file, text, position) }),
  };
  readJsonMembers(text, rules, (name, value) => {
    tensors.set(name, parseTensor(value, `${file}: ${quoteName(name)}`));
  });
  return tensors;
}

function locate(file: string, text: string, position: number) {
  const before = text.slice(0, position);
  const line = before.split("\n").length;
  return { file, line, column: position - before.lastIndexOf("\n") };
}

function parseTensor(value: JsonValue, where: string): HostTensor {
  if (!isJsonObject(value)) return fail("QKV448", `${where} is not an object { dtype, dims, data }`);
  for (const key of value.keys())
    if (key !== "dtype" && key !== "dims" && key !== "data")
      fail("QKV448", `${where} has an unknown field ${quoteName(key)}`);
  const dtype = value.get("dtype");
  if (typeof dtype !== "string" || !isDType(dtype))
    return fail("QKV448", `${where}: dtype is ${show(dtype)}`, { help: `one of ${dtypes.join(", ")}` });
  const dims = parseDims(value.get("dims"), where);
  const data = value.get("data");
  if (data === undefined || !isJsonArray(data)) return fail("QKV448", `${where}: data is not an array`);
  if (data.length !== elementCount(dims))
    fail("QKV448", `${where}: ${dtype}[${dims.join(", ")}] needs ${elementCount(dims)} values, not ${data.length}`);
  return parseData(dtype, dims, data, where);
}

const show = (value: JsonValue | undefined): string => {
  if (typeof value === "string") return quoteName(value);
  if (value === undefined) return "missing";
  if (isJsonArray(value)) return "an array";
  return isJsonObject(value) ? "an object" : `${value}`;
};

function parseDims(value: JsonValue | undefined, where: string): number[] {
  if (value === undefined || !isJsonArray(value)) return fail("QKV448", `${where}: dims is not an array`);
  return value.map((dim) =>
    typeof dim === "number" && Number.isSafeInteger(dim) && dim >= 0
      ? dim
      : fail("QKV448", `${where}: dims has ${show(dim)}, not a whole number from 0`),
  );
}

function parseData(dtype: DType, dims: readonly number[], data: readonly JsonValue[], where: string): HostTensor {
  const at = (index: number) => `${where}: data[${index}]`;
  if (dtype === "i64") {
    const integers = allocate("i64", data.length) as BigInt64Array<ArrayBuffer>;
    for (const [index, value] of data.entries()) integers[index] = parseBigInt(value, at(index));
    return { dtype, dims, data: integers };
  }
  const parse = isFloat(dtype) ? parseFloating : dtype === "bool" ? parseBool : parseInteger;
  const numbers = Float64Array.from(data, (value, index) => parse(value, at(index)));
  const tensor = fromNumbers(dtype, dims, numbers);
  if (dtype !== "f64" && dtype !== "bool") requireInRange(tensor, numbers, at);
  return tensor;
}

/** Rounding is what a narrower float is for; overflow is not, and wrapped integers are other numbers. */
function requireInRange(tensor: HostTensor, given: Float64Array, at: (index: number) => string): void {
  const exact = isInteger(tensor.dtype);
  for (const [index, held] of toFloat64(tensor).entries()) {
    const value = given[index]!;
    if (exact ? held !== value : Number.isFinite(value) && !Number.isFinite(held))
      fail("QKV448", `${at(index)} is ${value}, which ${tensor.dtype} cannot hold`);
  }
}

function parseBigInt(value: JsonValue, where: string): bigint {
  if (typeof value === "number" && Number.isInteger(value)) {
    if (Number.isSafeInteger(value)) return BigInt(value);
    return fail("QKV448", `${where} is beyond 2^53`, { help: 'write it as a string: "9007199254740993"' });
  }
  if (typeof value !== "string" || !/^-?[0-9]{1,19}$/.test(value))
    return fail("QKV448", `${where} is ${show(value)}, not a whole number`);
  const parsed = BigInt(value);
  return BigInt.asIntN(64, parsed) === parsed ? parsed : fail("QKV448", `${where} is ${value}, beyond 64 bits`);
}

function parseFloating(value: JsonValue, where: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  const word = typeof value === "string" ? numberOf.get(value) : undefined;
  return word ?? fail("QKV448", `${where} is ${show(value)}, not a number`, { help: '"NaN", "Infinity", "-Infinity"' });
}

function parseInteger(value: JsonValue, where: string): number {
  if (typeof value === "number" && Number.isInteger(value)) return value;
  return fail("QKV448", `${where} is ${show(value)}, not a whole number`);
}

function parseBool(value: JsonValue, where: string): number {
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  return fail("QKV448", `${where} is ${show(value)}, not true or false`);
}
