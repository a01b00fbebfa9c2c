import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../../src/backends/weights/safetensors.ts";
import { QkvError } from "../../../src/ir/diagnostics.ts";
import { entry, errorOf, safetensorsBytes, tempFolder } from "./temp-files.ts";

const folder = tempFolder();
let files = 0;

function write(bytes: Uint8Array): string {
  const path = join(folder, `${files++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
}

const one = (fields: string, data = 8): Uint8Array => safetensorsBytes(`{"a":${fields}}`, data);
const f32 = entry("F32", [2], 0, 8);
const concat = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

type Case = readonly [what: string, bytes: Uint8Array, code: string, message: RegExp];

const cases: readonly Case[] = [
  ["an empty file", new Uint8Array(0), "QKV422", /0 bytes, too few/],
  ["seven bytes", new Uint8Array(7), "QKV422", /7 bytes, too few/],
  ["a header of length 0", safetensorsBytes("{}", 0, 0n), "QKV422", /header of 0 bytes/],
  ["a header of length 1", safetensorsBytes("{}", 0, 1n), "QKV422", /header of 1 bytes/],
  ["a header longer than the file", safetensorsBytes("{}", 0, 3n), "QKV422", /announces a header of 3 bytes; 2 follow/],
  ["a header of 2^64 - 1 bytes", safetensorsBytes("{}", 0, 2n ** 64n - 1n), "QKV422", /18446744073709551615/],
  ["a header of 2^53 + 1 bytes", safetensorsBytes("{}", 0, 2n ** 53n + 1n), "QKV422", /9007199254740993/],
  ["a header of 2^63 bytes", safetensorsBytes("{}", 0, 2n ** 63n), "QKV422", /9223372036854775808/],
  [
    "invalid UTF-8",
    safetensorsBytes(concat(Buffer.from('{"'), Uint8Array.of(0xff), Buffer.from(`":${f32}}`)), 8),
    "QKV423",
    /not valid UTF-8/,
  ],
  [
    "overlong UTF-8",
    safetensorsBytes(concat(Buffer.from('{"'), Uint8Array.of(0xc0, 0xaf), Buffer.from(`":${f32}}`)), 8),
    "QKV423",
    /not valid UTF-8/,
  ],
  ["a byte order mark", safetensorsBytes(`\ufeff{"a":${f32}}`, 8), "QKV423", /does not start with/],
  ["a header that starts with a space", safetensorsBytes(` {"a":${f32}}`, 8), "QKV423", /does not start with/],
  ["a header that is a list", safetensorsBytes("[]"), "QKV423", /does not start with/],
  ["a header cut short", safetensorsBytes(`{"a":${f32}`, 8), "QKV423", /expected/],
  ["an unclosed string", safetensorsBytes('{"a'), "QKV423", /not closed/],
  ["a raw control character", safetensorsBytes(`{"a\n":${f32}}`, 8), "QKV423", /control character/],
  ["an unknown escape", safetensorsBytes(`{"a\\x":${f32}}`, 8), "QKV423", /unknown escape/],
  ["half a surrogate pair", safetensorsBytes(`{"\\ud800":${f32}}`, 8), "QKV423", /surrogate/],
  ["a trailing comma", safetensorsBytes(`{"a":${f32},}`, 8), "QKV423", /a string is expected/],
  ["text after the header's object", safetensorsBytes(`{"a":${f32}}x`, 8), "QKV423", /text follows/],
  ["a second object in the header", safetensorsBytes(`{"a":${f32}}{}`, 8), "QKV423", /text follows/],
  ["NUL padding", safetensorsBytes(`{"a":${f32}}\0`, 8), "QKV423", /text follows/],
  ["NaN in a shape", one(entry("F32", ["NaN"], 0, 8)), "QKV423", /value is expected/],
  ["a tensor named twice", safetensorsBytes(`{"a":${f32},"a":${f32}}`, 8), "QKV424", /"a" occurs twice/],
  [
    "a tensor named twice, once escaped",
    safetensorsBytes(`{"a":${f32},"\\u0061":${f32}}`, 8),
    "QKV424",
    /"a" occurs twice/,
  ],
  [
    "a field given twice",
    one('{"dtype":"F32","dtype":"U8","shape":[2],"data_offsets":[0,8]}'),
    "QKV424",
    /"dtype" occurs twice/,
  ],
  ["metadata given twice", safetensorsBytes('{"__metadata__":{},"__metadata__":{}}'), "QKV424", /occurs twice/],
  ["a metadata key given twice", safetensorsBytes('{"__metadata__":{"k":"1","k":"2"}}'), "QKV424", /"k" occurs twice/],
  ["__proto__ given twice", safetensorsBytes(`{"__proto__":${f32},"__proto__":${f32}}`, 8), "QKV424", /__proto__/],
  [
    "__proto__ inside an entry",
    one('{"__proto__":{},"dtype":"F32","shape":[2],"data_offsets":[0,8]}'),
    "QKV425",
    /unknown field "__proto__"/,
  ],
  [
    "an unknown field",
    one('{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[4]}'),
    "QKV425",
    /"a" has an unknown field "strides"/,
  ],
  ["an entry that is a number", one("3"), "QKV425", /"a" is not described by an object/],
  ["no dtype", one('{"shape":[2],"data_offsets":[0,8]}'), "QKV425", /no dtype/],
  ["a dtype that is a number", one('{"dtype":1,"shape":[2],"data_offsets":[0,8]}'), "QKV425", /no dtype/],
  ["no shape", one('{"dtype":"F32","data_offsets":[0,8]}'), "QKV425", /no shape list/],
  ["a shape that is a number", one('{"dtype":"F32","shape":2,"data_offsets":[0,8]}'), "QKV425", /no shape list/],
  ["no offsets", one('{"dtype":"F32","shape":[2]}'), "QKV425", /no data_offsets list/],
  ["one offset", one('{"dtype":"F32","shape":[2],"data_offsets":[8]}'), "QKV425", /two data_offsets/],
  ["three offsets", one('{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}'), "QKV425", /two data_offsets/],
  ["a negative dim", one(entry("F32", [-1], 0, 8)), "QKV425", /"a" has a negative number in shape/],
  ["minus zero", one(entry("F32", ["-0"], 0, 0), 0), "QKV425", /negative number in shape/],
  ["a fractional dim", one(entry("F32", [1.5], 0, 8)), "QKV423", /whole number .*in "a" › "shape"/],
  ["a dim with a fraction of zero", one(entry("F32", ["2.0"], 0, 8)), "QKV423", /whole number/],
  ["a dim with an exponent", one(entry("F32", ["1e300"], 0, 8)), "QKV423", /whole number/],
  ["a dim with a leading zero", one(entry("F32", ["02"], 0, 8)), "QKV423", /expected/],
  ["a dim that is text", one(entry("F32", ['"2"'], 0, 8)), "QKV425", /something other than a whole number in shape/],
  ["a dim that is null", one(entry("F32", ["null"], 0, 8)), "QKV425", /something other than a whole number/],
  [
    "a dim of 2^53 + 1",
    one(entry("F32", ["9007199254740993"], 0, 8)),
    "QKV425",
    /9007199254740993 in shape, beyond 2\^53/,
  ],
  ["a dim of 2^64 + 2", one(entry("F32", ["18446744073709551618"], 0, 8)), "QKV425", /beyond 2\^53/],
  [
    "a shape whose product wraps to the right size",
    one(entry("U8", ["4294967296", "4294967296"], 0, 0), 0),
    "QKV425",
    /more than 2\^53 elements/,
  ],
  [
    "a product that overflows before a zero",
    one(entry("U8", ["4294967296", "4294967296", "0"], 0, 0), 0),
    "QKV425",
    /more than 2\^53 elements/,
  ],
  ["65 dims", one(entry("U8", Array(65).fill(1), 0, 1), 1), "QKV425", /65 dims/],
  ["an unknown dtype", one(entry("F33", [2], 0, 8)), "QKV426", /"a" has dtype "F33"/],
  ["a dtype in lower case", one(entry("f32", [2], 0, 8)), "QKV426", /"f32"/],
  ["F8_E4M3", one(entry("F8_E4M3", [8], 0, 8)), "QKV426", /"F8_E4M3"/],
  ["F8_E5M2", one(entry("F8_E5M2", [8], 0, 8)), "QKV426", /"F8_E5M2"/],
  ["dtype constructor", one(entry("constructor", [8], 0, 8)), "QKV426", /"constructor"/],
  ["a shape larger than its bytes", one(entry("F32", [3], 0, 8)), "QKV427", /takes 12 bytes, its offsets span 8/],
  ["a shape smaller than its bytes", one(entry("F32", [1], 0, 8)), "QKV427", /takes 4 bytes, its offsets span 8/],
  ["a zero-element tensor that spans bytes", one(entry("F32", [0], 0, 8)), "QKV427", /takes 0 bytes/],
  ["begin after end", one(entry("F32", [2], 8, 0)), "QKV427", /begins at 8, after its end 0/],
  ["end past the file", one(entry("F32", [2], 0, 8), 7), "QKV427", /ends at 8, past the 7 bytes/],
  ["offsets past the file", one(entry("F32", [2], 4000000000, 4000000008), 8), "QKV427", /past the 8 bytes/],
  [
    "an offset of 2^63",
    one(entry("F32", [2], 0, "9223372036854775808" as never)),
    "QKV425",
    /9223372036854775808 in data_offsets/,
  ],
  ["data after the last tensor", one(f32, 9), "QKV427", /1 bytes after the last tensor/],
  ["data and no tensor", safetensorsBytes("{}", 4), "QKV427", /4 bytes after the last tensor/],
  ["a gap at the start", one(entry("F32", [2], 4, 12), 12), "QKV427", /4 bytes before tensor "a"/],
  [
    "a gap in the middle",
    safetensorsBytes(`{"a":${f32},"b":${entry("U8", [1], 9, 10)}}`, 10),
    "QKV427",
    /1 bytes before tensor "b"/,
  ],
  ["an overlap", safetensorsBytes(`{"a":${f32},"b":${entry("F32", [2], 4, 12)}}`, 12), "QKV427", /"b" overlaps/],
  ["two tensors on the same bytes", safetensorsBytes(`{"a":${f32},"b":${f32}}`, 8), "QKV427", /overlaps/],
  [
    "an empty tensor past the end",
    safetensorsBytes(`{"a":${f32},"b":${entry("U8", [0], 99, 99)}}`, 8),
    "QKV427",
    /past the 8 bytes/,
  ],
  ["metadata that is a list", safetensorsBytes('{"__metadata__":[]}'), "QKV428", /not an object/],
  ["metadata that is null", safetensorsBytes('{"__metadata__":null}'), "QKV428", /not an object/],
  ["metadata with a number", safetensorsBytes('{"__metadata__":{"k":1}}'), "QKV428", /"k" is not a string/],
  ["metadata with an object", safetensorsBytes('{"__metadata__":{"k":{}}}'), "QKV428", /"k" is not a string/],
  ["nesting 9 deep", one(`${"[".repeat(8)}${"]".repeat(8)}`), "QKV429", /nest deeper than 8/],
  ["nesting 100,000 deep", one("[".repeat(100_000)), "QKV429", /nest deeper than 8/],
  ["objects 100,000 deep", one('{"a":'.repeat(100_000)), "QKV429", /nest deeper than 8/],
];

test.each(cases)("refuses %s", (_, bytes, code, message) => {
  const path = write(bytes);
  const error = errorOf(() => openSafetensors(path));
  expect(error.code).toBe(code);
  expect(error.message).toMatch(message);
  expect(error.message).toContain(path);
  expect(error.details.help).toBeTruthy();
  expect(error.exitCode).toBe(code === "QKV429" ? 3 : 2);
});

test("refuses a header above 100 MB before reading it", () => {
  const path = write(safetensorsBytes("{}", 0, 100_000_001n));
  truncateSync(path, 100_000_009 + 8);
  const error = errorOf(() => openSafetensors(path));
  expect([error.code, error.exitCode]).toEqual(["QKV429", 3]);
});

test("refuses more than a million tensors", () => {
  const empty = entry("U8", [0], 0, 0);
  const members = Array.from({ length: 1_000_001 }, (_, i) => `"${i}":${empty}`);
  const path = write(safetensorsBytes(`{${members.join(",")}}`));
  const error = errorOf(() => openSafetensors(path));
  expect([error.code, error.exitCode]).toEqual(["QKV429", 3]);
});

test.each(["[]", "{}", "0"])("refuses an entry of millions of %s before memory runs out", (item) => {
  const path = write(safetensorsBytes(`{"a":[${`${item},`.repeat(5_000_000)}${item}]}`));
  const error = errorOf(() => openSafetensors(path));
  expect([error.code, error.exitCode]).toEqual(["QKV429", 3]);
});

test("refuses a tensor above the limit when it is read, not before", () => {
  const file = openSafetensors(write(one(f32)), { maxTensorBytes: 7 });
  expect(file.describe("a").dims).toEqual([2]);
  expect(errorOf(() => file.read("a")).code).toBe("QKV429");
});

test.each([
  ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", /git lfs pull/],
  ["a zip archive", "PK\x03\x04 and more bytes", /zip/],
  ["a GGUF file", "GGUF\x03\0\0\0 and more", /GGUF/],
])("names what %s is", (_, text, help) => {
  expect(errorOf(() => openSafetensors(write(Buffer.from(text)))).details.help).toMatch(help);
});

test("says of types that only quantised weights have what to do", () => {
  const file = write(one(entry("F8_E4M3", [8], 0, 8)));
  expect(errorOf(() => openSafetensors(file)).details.help).toContain('"quantization_config" must be dequantised');
});

describe("names are data", () => {
  test("__proto__, constructor and the empty name are tensors like any other", () => {
    const header = `{"__proto__":${entry("U8", [1], 0, 1)},"constructor":${entry("U8", [1], 1, 2)},"":${entry("U8", [1], 2, 3)}}`;
    const file = openSafetensors(write(safetensorsBytes(header, Uint8Array.of(7, 8, 9))));
    expect(file.names()).toEqual(["__proto__", "constructor", ""]);
    expect(file.names().map((name) => file.read(name).data[0])).toEqual([7, 8, 9]);
    expect(file.has("toString")).toBe(false);
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  test("__proto__ in the metadata is text like any other", () => {
    const file = openSafetensors(write(safetensorsBytes('{"__metadata__":{"__proto__":"x","format":"pt"}}')));
    expect([...file.metadata]).toEqual([
      ["__proto__", "x"],
      ["format", "pt"],
    ]);
  });

  test("a name that would drive a terminal is escaped in messages", () => {
    const error = errorOf(() =>
      openSafetensors(write(safetensorsBytes(`{"\\u001b[2J\u202e\u009b":${entry("F8", [1], 0, 1)}}`, 1))),
    );
    expect(error.message).toContain('"\\u001b[2J\\u202e\\u009b"');
  });

  test("an endless name is cut in messages", () => {
    const error = errorOf(() => openSafetensors(write(safetensorsBytes(`{"${"n".repeat(1e6)}":3}`))));
    expect(error.message.length).toBeLessThan(500);
  });

  test("asking for a tensor that is not there names the nearest", () => {
    const file = openSafetensors(write(safetensorsBytes(`{"layer.0.weight":${f32}}`, 8)));
    const error = errorOf(() => file.read("layer.0.weigth"));
    expect(error.code).toBe("QKV435");
    expect(error.details.help).toContain("layer.0.weight");
  });
});

describe("only regular files", () => {
  test("a missing file", () => {
    expect(errorOf(() => openSafetensors(join(folder, "none.safetensors"))).code).toBe("QKV420");
  });

  test("a path with a NUL", () => {
    expect(errorOf(() => openSafetensors(`${folder}/a\0b`)).code).toBe("QKV420");
  });

  test("a directory", () => {
    const error = errorOf(() => openSafetensors(folder));
    expect([error.code, error.message]).toEqual(["QKV420", expect.stringContaining("is a directory")]);
  });

  test.skipIf(process.platform === "win32")("a named pipe, without waiting for a writer", () => {
    const path = join(folder, "pipe.safetensors");
    execFileSync("mkfifo", [path]);
    const error = errorOf(() => openSafetensors(path));
    expect([error.code, error.message]).toEqual(["QKV420", expect.stringContaining("named pipe")]);
  });

  test.skipIf(!existsSync("/dev/zero"))("a device", () => {
    const error = errorOf(() => openSafetensors("/dev/zero"));
    expect([error.code, error.message]).toEqual(["QKV420", expect.stringContaining("device")]);
  });

  test.skipIf(!existsSync("/proc/self/maps"))("a file that claims to be empty", () => {
    expect(errorOf(() => openSafetensors("/proc/self/maps")).code).toBe("QKV422");
  });
});

describe("a file that changes after it was opened", () => {
  const open = () => {
    const path = write(one(f32));
    return { path, file: openSafetensors(path, { wholeFileBytes: 0 }) };
  };

  test.each<[string, (path: string) => void]>([
    ["grows", (path) => appendFileSync(path, "x")],
    ["shrinks", (path) => truncateSync(path, 60)],
    ["is replaced", (path) => renameSync(write(one(f32)), path)],
  ])("%s", (_, change) => {
    const { path, file } = open();
    expect(file.read("a").data.length).toBe(2);
    change(path);
    expect(errorOf(() => file.read("a")).code).toBe("QKV421");
  });

  test("a small file was read whole and is not affected", () => {
    const path = write(one(f32));
    const file = openSafetensors(path);
    truncateSync(path, 0);
    expect(file.read("a").data.length).toBe(2);
  });
});

test("damaged bytes give the project's error or a consistent file, never anything else", () => {
  const header = `{"__metadata__":{"format":"pt"},"a":${f32},"b":${entry("BOOL", [3], 8, 11)},"c":${entry("I64", [], 11, 19)}}`;
  const good = safetensorsBytes(header, 19);
  const hostile = ["{", "}", "[", "]", '"', ",", ":", "-", "9", "\\", "\0", "\xff", " "].map((char) =>
    char.charCodeAt(0),
  );
  const edit = fc.record({ at: fc.nat(good.length - 1), byte: fc.oneof(fc.constantFrom(...hostile), fc.nat(255)) });
  const path = join(folder, "damaged.safetensors");
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(good.length), (edits, cut) => {
      const bytes = Uint8Array.from(good);
      for (const { at, byte } of edits) bytes[at] = byte;
      writeFileSync(path, cut % 3 === 0 ? bytes.subarray(0, cut) : bytes);
      try {
        const file = openSafetensors(path);
        for (const name of file.names()) file.read(name);
      } catch (error) {
        if (!(error instanceof QkvError)) throw error;
        expect(error.code).toMatch(/^QKV42/);
      }
    }),
    { numRuns: 3000 },
  );
});
