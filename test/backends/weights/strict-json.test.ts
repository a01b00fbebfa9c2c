import fc from "fast-check";
import { expect, test } from "vitest";
import { toPlainObject } from "../../../src/backends/weights/read-json-file.ts";
import { isJsonObject, type JsonRules, type JsonValue, readJson } from "../../../src/backends/weights/strict-json.ts";

class Rejected extends Error {}

const rules: JsonRules = {
  maxDepth: 100,
  maxItems: 1000,
  numbers: "any",
  reject: (fault, message) => {
    throw new Rejected(`${fault}: ${message}`);
  },
};

const plain = (value: JsonValue): unknown => {
  if (isJsonObject(value)) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
};

test("reads what JSON.stringify writes", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "grapheme" }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(plain(readJson(text, rules))).toEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test("accepts nothing that JSON.parse refuses", () => {
  const piece = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    '"',
    ",",
    ":",
    "1",
    "-",
    ".",
    "e",
    "0",
    "true",
    "null",
    "\\",
    " ",
    "a",
    "\n",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join("");
      try {
        readJson(text, rules);
      } catch (error) {
        if (error instanceof Rejected) return;
        throw error;
      }
      JSON.parse(text);
    }),
    { numRuns: 5000 },
  );
});

test.each(["null", "true", "false", '"x"', "0", "-0.5e3", "[]", "{}", "[null]", '{"a":null}'])("reads %s", (text) => {
  expect(plain(readJson(text, rules))).toEqual(JSON.parse(text));
});

test("integers keep every digit", () => {
  const integers: JsonRules = { ...rules, numbers: "integers" };
  expect(readJson("18446744073709551615", integers)).toBe(18446744073709551615n);
  expect(readJson("9007199254740991", integers)).toBe(9007199254740991);
  expect(() => readJson("1.5", integers)).toThrow(Rejected);
});

test("Python's NaN and infinities only where allowed", () => {
  const python: JsonRules = { ...rules, pythonNumbers: true };
  expect(readJson("[NaN, Infinity, -Infinity, -1]", python)).toEqual([Number.NaN, Infinity, -Infinity, -1]);
  expect(() => readJson("NaN", rules)).toThrow(Rejected);
});

test("values of one member are counted, members of the outermost object are not", () => {
  const member = (items: number) => `"m":[${Array(items).fill("[]").join(",")}]`;
  const members = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":[[]]`).join(",")}}`;
  expect(() => readJson(`{${member(1000)}}`, rules)).toThrow(/limit: more than 1000 values/);
  expect(() => readJson(`{"n":{${member(1000)}}}`, rules)).toThrow(/limit/);
  expect(plain(readJson(`{${member(998)}}`, rules))).toHaveProperty("m");
  expect(() => readJson(members(5000), rules)).not.toThrow();
});

test("plain objects have no prototype to reach, and are frozen", () => {
  const value = readJson('{"__proto__":{"polluted":1},"a":[{"constructor":2}]}', rules);
  const object = isJsonObject(value) ? toPlainObject(value) : {};
  expect(Object.keys(object)).toEqual(["__proto__", "a"]);
  expect(Object.getPrototypeOf(object)).toBeNull();
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(Object.isFrozen(object) && Object.isFrozen(object.a)).toBe(true);
});
