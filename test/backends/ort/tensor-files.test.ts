import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { formatTensors, parseTensors, readTensors, writeTensors } from "../../../src/backends/ort/tensor-files.ts";
import { dtypes } from "../../../src/ir/dtype.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";

const folder = mkdtempSync(join(tmpdir(), "qkv-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const all = new Map(dtypes.map((dtype) => [dtype as string, fromNumbers(dtype, [2, 1], [1, 0])]));

test.each(["json", "safetensors", "JSON"])("every dtype through a .%s file", (extension) => {
  const path = join(folder, `all.${extension}`);
  writeTensors(path, all);
  expect(new Map(readTensors(path))).toEqual(all);
});

test("what JSON has no numbers for", () => {
  const float = fromNumbers("f32", [5], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e-45]);
  const big: HostTensor = { dtype: "i64", dims: [3], data: BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), -1n) };
  const tensors = new Map([
    ["float", float],
    ["__proto__", big],
    ['quo"te\n', fromNumbers("bool", [], [1])],
  ]);
  const text = formatTensors(tensors);
  expect(text).toMatchInlineSnapshot(`
    "{
      "float": { "dtype": "f32", "dims": [5], "data": ["NaN", "Infinity", "-Infinity", -0, 1.401298464324817e-45] },
      "__proto__": { "dtype": "i64", "dims": [3], "data": ["9223372036854775807", "-9223372036854775808", -1] },
      "quo\\"te\\n": { "dtype": "bool", "dims": [], "data": [true] }
    }
    "
  `);
  expect(parseTensors(text, "test.json")).toEqual(tensors);
  expect(formatTensors(new Map())).toBe("{}\n");
});

const x = (fields: string) => `{\n  "x": { ${fields} }\n}`;

test.each([
  ["not an object", "[]", "QKV447", "expected"],
  ["not a tensor", '{"x": 1}', "QKV448", "not an object { dtype"],
  ["an unknown dtype", x('"dtype": "float", "dims": [], "data": [1]'), "QKV448", 'dtype is "float"'],
  ["no dtype", x('"dims": [], "data": [1]'), "QKV448", "dtype is missing"],
  ["a dtype of the prototype", x('"dtype": "constructor", "dims": [], "data": [1]'), "QKV448", "constructor"],
  ["an unknown field", x('"dtype": "f32", "dims": [], "data": [1], "__proto__": 1'), "QKV448", "__proto__"],
  ["no dims", x('"dtype": "f32", "data": [1]'), "QKV448", "dims is not"],
  ["a negative dim", x('"dtype": "f32", "dims": [-1], "data": []'), "QKV448", "dims has -1"],
  ["a fractional dim", x('"dtype": "f32", "dims": [1.5], "data": []'), "QKV448", "dims has 1.5"],
  ["no data", x('"dtype": "f32", "dims": [1]'), "QKV448", "data is not an array"],
  ["too few values", x('"dtype": "f32", "dims": [2, 2], "data": [1]'), "QKV448", "needs 4 values, not 1"],
  [
    "huge dims",
    x('"dtype": "f32", "dims": [9007199254740991, 9007199254740991], "data": []'),
    "QKV448",
    "values, not 0",
  ],
  ["nested data", x('"dtype": "f32", "dims": [1], "data": [[1]]'), "QKV448", "data[0] is an array"],
  ["a string", x('"dtype": "f32", "dims": [1], "data": ["one"]'), "QKV448", 'data[0] is "one"'],
  ["an overflowing half", x('"dtype": "f16", "dims": [1], "data": [70000]'), "QKV448", "f16 cannot hold"],
  ["a number beyond doubles", x('"dtype": "f32", "dims": [1], "data": [1e400]'), "QKV448", "not a number"],
  ["a wrapped integer", x('"dtype": "i8", "dims": [1], "data": [200]'), "QKV448", "i8 cannot hold"],
  ["a fraction", x('"dtype": "i32", "dims": [1], "data": [0.5]'), "QKV448", "not a whole number"],
  ["an inexact integer", x('"dtype": "i64", "dims": [1], "data": [9007199254740993]'), "QKV448", "beyond 2^53"],
  ["65 bits", x('"dtype": "i64", "dims": [1], "data": ["9223372036854775808"]'), "QKV448", "beyond 64 bits"],
  ["hexadecimal", x('"dtype": "i64", "dims": [1], "data": ["0x10"]'), "QKV448", "not a whole number"],
  ["a bool of 2", x('"dtype": "bool", "dims": [1], "data": [2]'), "QKV448", "not true or false"],
  ["a bare NaN", x('"dtype": "f32", "dims": [1], "data": [NaN]'), "QKV447", "expected"],
  ["a key twice", x('"dtype": "f32", "dtype": "f32"'), "QKV447", "twice"],
  ["deep nesting", `{"x":${"[".repeat(100_000)}`, "QKV447", "deeper"],
  ["nothing", "", "QKV447", "expected"],
])("refuses %s", (_, text, code, message) => {
  expect(() => parseTensors(text, "bad.json")).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) }),
  );
});

test("malformed JSON is found by line and column", () => {
  expect(() => parseTensors('{\n  "x": {,}\n}', "bad.json")).toThrow(
    expect.objectContaining({ details: { location: { file: "bad.json", line: 2, column: 9 } } }),
  );
});

test("refuses other files", () => {
  const path = join(folder, "x.npz");
  expect(() => readTensors(path)).toThrow(expect.objectContaining({ code: "QKV446" }));
  expect(() => writeTensors(path, all)).toThrow(expect.objectContaining({ code: "QKV446" }));
  expect(() => readTensors(join(folder, "none.json"))).toThrow(expect.objectContaining({ name: "QkvError" }));
  writeFileSync(join(folder, "latin.json"), Uint8Array.of(0x7b, 0xff, 0x7d));
  expect(() => readTensors(join(folder, "latin.json"))).toThrow(expect.objectContaining({ code: "QKV447" }));
});

test("a file that cannot be written leaves nothing behind", () => {
  const path = join(folder, "kept.json");
  writeTensors(path, all);
  const [before, text] = [readdirSync(folder), readFileSync(path, "utf8")];
  expect(() => writeTensors(join(folder, "none", "x.json"), all)).toThrow(expect.objectContaining({ code: "QKV446" }));
  expect(() => writeTensors(join(path, "x.json"), all)).toThrow(expect.objectContaining({ code: "QKV446" }));
  expect(readdirSync(folder)).toEqual(before);
  expect(readFileSync(path, "utf8")).toBe(text);
});
