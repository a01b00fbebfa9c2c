import { type DiagnosticCode, fail } from "../../ir/diagnostics.ts";
import { byteSize, type DType } from "../../ir/dtype.ts";
import { quoteName } from "./quote-name.ts";
import { isJsonArray, isJsonObject, type JsonFault, type JsonValue, readJsonMembers } from "./strict-json.ts";

/** Element types by the name the format gives them. */
export const dtypeByFormatName: ReadonlyMap<string, DType> = new Map([
  ["F64", "f64"],
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
  ["I64", "i64"],
  ["I32", "i32"],
  ["I8", "i8"],
  ["U8", "u8"],
  ["BOOL", "bool"],
]);

/** Key of the header that holds string metadata instead of a tensor. */
export const metadataKey = "__metadata__";

/** The format's own bound on the header, bytes. */
export const maxHeaderBytes = 100_000_000;
const maxTensors = 1_000_000;
const maxRank = 64;
const maxDepth = 8;
const maxItems = 1_000_000;

/** Where a tensor lies: bytes `begin` to `end` counted from the first byte after the header. */
export interface TensorEntry {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A checked header: spans of `tensors` tile the data exactly. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

const broken = "the file is damaged or was not written as safetensors: download or export it again";

const faultCodes: Record<JsonFault, DiagnosticCode> = { syntax: "QKV423", duplicate: "QKV424", limit: "QKV429" };

/**
 * Parses header `text` of `file` for a data section of `dataBytes` bytes.
 * Throws QKV423 to QKV429 for every departure from the format; https://huggingface.co/docs/safetensors has its rules.
 */
export function parseHeader(file: string, text: string, dataBytes: number): SafetensorsHeader {
  const tensors = new Map<string, TensorEntry>();
  let metadata: ReadonlyMap<string, string> = new Map();
  readJsonMembers(
    text,
    {
      maxDepth,
      maxItems,
      numbers: "integers",
      reject: (fault, message) => fail(faultCodes[fault], `${file}: header: ${message}`, { help: broken }),
    },
    (key, value) => {
      if (key === metadataKey) metadata = readMetadata(file, value);
      else tensors.set(key, readEntry(file, key, value));
      if (tensors.size > maxTensors)
        fail("QKV429", `${file}: more than ${maxTensors} tensors`, { help: "split the checkpoint into shards" });
    },
  );
  checkTiling(file, tensors, dataBytes);
  return { tensors, metadata };
}

function readMetadata(file: string, value: JsonValue): ReadonlyMap<string, string> {
  const reject = (what: string): never => fail("QKV428", `${file}: ${metadataKey} ${what}`, { help: broken });
  if (!isJsonObject(value)) return reject("is not an object");
  for (const [key, text] of value) if (typeof text !== "string") reject(`entry ${quoteName(key)} is not a string`);
  return value as ReadonlyMap<string, string>;
}

function readEntry(file: string, name: string, value: JsonValue): TensorEntry {
  const reject = (what: string): never =>
    fail("QKV425", `${file}: tensor ${quoteName(name)} ${what}`, { help: broken });
  if (!isJsonObject(value)) return reject("is not described by an object");
  for (const key of value.keys())
    if (key !== "dtype" && key !== "shape" && key !== "data_offsets") reject(`has an unknown field ${quoteName(key)}`);
  const dtype = readDType(file, name, value.get("dtype"), reject);
  const dims = readCounts(value.get("shape"), "shape", reject);
  const [begin, end, ...rest] = readCounts(value.get("data_offsets"), "data_offsets", reject);
  if (begin === undefined || end === undefined || rest.length > 0) return reject("needs two data_offsets");
  if (dims.length > maxRank) reject(`has ${dims.length} dims; ${maxRank} is the most`);
  checkSpan(file, name, { dtype, dims, begin, end });
  return { dtype, dims, begin, end };
}

function readDType(file: string, name: string, value: JsonValue | undefined, reject: (what: string) => never): DType {
  if (typeof value !== "string") return reject("has no dtype text");
  const dtype = dtypeByFormatName.get(value);
  if (dtype !== undefined) return dtype;
  return fail("QKV426", `${file}: tensor ${quoteName(name)} has dtype ${quoteName(value)}, which is not supported`, {
    help: `convert it to one of ${[...dtypeByFormatName.keys()].join(", ")}; weights of a "quantization_config" must be dequantised`,
  });
}

function readCounts(value: JsonValue | undefined, field: string, reject: (what: string) => never): readonly number[] {
  if (value === undefined || !isJsonArray(value)) return reject(`has no ${field} list`);
  return value.map((item) => {
    if (typeof item === "bigint") return reject(`has ${item} in ${field}, beyond 2^53`);
    if (typeof item !== "number") return reject(`has something other than a whole number in ${field}`);
    if (item < 0 || Object.is(item, -0)) return reject(`has a negative number in ${field}`);
    return item;
  });
}

function checkSpan(file: string, name: string, entry: TensorEntry): void {
  const { dtype, dims, begin, end } = entry;
  if (begin > end)
    fail("QKV427", `${file}: tensor ${quoteName(name)} begins at ${begin}, after its end ${end}`, { help: broken });
  // Zeros are left out: a product that overflows on the way to zero must not pass.
  let elements = 1;
  for (const dim of dims) {
    elements *= dim || 1;
    if (elements > Number.MAX_SAFE_INTEGER)
      fail("QKV425", `${file}: tensor ${quoteName(name)} has a shape of more than 2^53 elements`, { help: broken });
  }
  if (dims.includes(0)) elements = 0;
  const bytes = elements * byteSize(dtype);
  if (bytes !== end - begin)
    fail(
      "QKV427",
      `${file}: tensor ${quoteName(name)} ${dtype}[${dims.join(", ")}] takes ${bytes} bytes, its offsets span ${end - begin}`,
      {
        help: broken,
      },
    );
}

// Gaps could hide a second file in this one, overlaps make two loaders disagree: spans must tile the data exactly.
function checkTiling(file: string, tensors: ReadonlyMap<string, TensorEntry>, dataBytes: number): void {
  const byPlace = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  const reject = (what: string): never => fail("QKV427", `${file}: ${what}`, { help: broken });
  let covered = 0;
  for (const [name, { begin, end }] of byPlace) {
    if (end > dataBytes) reject(`tensor ${quoteName(name)} ends at ${end}, past the ${dataBytes} bytes of data`);
    if (begin < covered) reject(`tensor ${quoteName(name)} overlaps the one before it`);
    if (begin > covered) reject(`${begin - covered} bytes before tensor ${quoteName(name)} belong to no tensor`);
    covered = end;
  }
  if (covered < dataBytes) reject(`${dataBytes - covered} bytes after the last tensor belong to no tensor`);
}
