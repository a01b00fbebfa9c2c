import { type DiagnosticCode, fail } from "../../ir/diagnostics.ts";
import { decodeUtf8, openRegular, readRange } from "./regular-file.ts";
import { isJsonObject, type JsonObject, type JsonValue, readJson } from "./strict-json.ts";

const maxDepth = 64;
const maxItems = 2_000_000;

/**
 * Reads a JSON file that holds an object. Throws QKV420 for anything but a regular file, QKV429 above `maxBytes`, 64
 * levels or two million values, QKV424 for a key given twice, `code` for text that is no JSON object.
 */
export function readJsonFile(path: string, maxBytes: number, code: DiagnosticCode): JsonObject {
  const file = openRegular(path);
  if (file.size > maxBytes) fail("QKV429", `${path} has ${file.size} bytes; ${maxBytes} is the most`);
  const text = decodeUtf8(readRange(file, 0, file.size)) ?? fail(code, `${path} is not valid UTF-8`);
  const value = readJson(text, {
    maxDepth,
    maxItems,
    numbers: "any",
    pythonNumbers: true,
    reject: (fault, message) =>
      fail(fault === "duplicate" ? "QKV424" : fault === "limit" ? "QKV429" : code, `${path}: ${message}`, {
        help: "correct the file or fetch it again",
      }),
  });
  return isJsonObject(value) ? value : fail(code, `${path} does not hold a JSON object`);
}

/** JSON as plain frozen objects without prototype, so that no key reaches one. */
export function toPlainObject(object: JsonObject): Readonly<Record<string, unknown>> {
  const out = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of object) out[key] = toPlain(value);
  return Object.freeze(out);
}

function toPlain(value: JsonValue): unknown {
  if (isJsonObject(value)) return toPlainObject(value);
  return Array.isArray(value) ? Object.freeze(value.map(toPlain)) : value;
}
