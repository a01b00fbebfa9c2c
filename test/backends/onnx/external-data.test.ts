import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeModel, readModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel, writeModel } from "../../../src/backends/onnx/encode.ts";
import { isExternal, type OnnxModel } from "../../../src/backends/onnx/schema.ts";
import { addModel, expectCode, model, modelWithTensor, tensor } from "./sample-models.ts";

let root = "";
let folder = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "qkv-external-"));
  folder = join(root, "models");
  mkdirSync(folder);
});
afterEach(() => rmSync(root, { recursive: true }));

const path = (name = "m.onnx") => join(folder, name);
const ones = (size: number) => new Array<number>(size).fill(1);
const weights = (): OnnxModel =>
  model({
    initializers: [
      tensor("large", "f32", [1023], ones(1023)),
      tensor("small", "f32", [255], ones(255)),
      tensor("edge", "f32", [16, 16], ones(256)),
      tensor("last", "i64", [513], ones(513)),
    ],
  });

test("large tensors move to aligned places in one file, and come back", () => {
  const { files } = writeModel(path(), weights(), { externalDataLimit: 1000 });
  expect(files).toEqual([path(), path("m.onnx.data")]);
  const places = decodeModel(readFileSync(path())).graph.initializers.map(({ bytes }) => isExternal(bytes) && bytes);
  const location = "m.onnx.data";
  expect(places).toEqual([
    { location, offset: 0, length: 4092 },
    false,
    { location, offset: 4096, length: 1024 },
    { location, offset: 8192, length: 4104 },
  ]);
  expect(statSync(path("m.onnx.data")).size).toBe(8192 + 4104);
  expect(readModel(path())).toEqual(weights());
});

test("tensors stay inside up to the limit", () => {
  const total = 4092 + 1020 + 1024 + 4104;
  expect(encodeModel(weights(), { externalDataLimit: total }).external).toBeUndefined();
  expect(encodeModel(weights(), { externalDataLimit: total - 1 }).external?.pieces.length).toBe(3);
  expect(encodeModel(addModel(1), { externalDataLimit: 0 }).external).toBeUndefined();
});

test("what is written is what is encoded, twice the same", () => {
  const options = { externalDataLimit: 1000, externalDataName: "m.onnx.data" };
  for (let i = 0; i < 2; i++) {
    writeModel(path(), weights(), options);
    expect(readFileSync(path()).equals(encodeModel(weights(), options).model)).toBe(true);
  }
  const data = readFileSync(path("m.onnx.data"));
  for (const { offset, bytes } of encodeModel(weights(), options).external?.pieces ?? [])
    expect(data.subarray(offset, offset + bytes.length).equals(bytes)).toBe(true);
});

test("chunks above and below the gathering size keep their order", () => {
  const sizes = [1, 2 ** 20 + 1, 3, 2 ** 19, 2 ** 19, 2 ** 20, 5];
  const initializers = sizes.map((size, i) => ({
    name: `w${i}`,
    dtype: "u8" as const,
    dims: [size],
    bytes: new Uint8Array(size).fill(i),
  }));
  writeModel(path(), model({ initializers }));
  expect(readFileSync(path()).equals(encodeModel(model({ initializers })).model)).toBe(true);
});

test("the runtime reads the external data", async () => {
  writeModel(path(), addModel(257), { externalDataLimit: 0 });
  const session = await InferenceSession.create(path());
  const { y } = await session.run({ x: new Tensor("float32", new Float32Array(257), [1, 257]) });
  expect(Array.from(y?.data as Float32Array)).toEqual(Array.from({ length: 257 }, (_, i) => i));
  await session.release();
});

describe("references", () => {
  const refer = (fields: Record<string, string>) => {
    const externalData = Object.entries(fields).map(([key, value]) => ({ key, value }));
    writeFileSync(path(), modelWithTensor({ name: "w", dataType: 1, dims: [4n], dataLocation: 1, externalData }));
  };
  const data = () => writeFileSync(path("w.bin"), new Uint8Array(64));

  test("into a folder below the model's, without offset and length", () => {
    mkdirSync(path("sub"));
    writeFileSync(
      path("sub/w"),
      Uint8Array.from({ length: 16 }, (_, i) => i),
    );
    refer({ location: "./sub//w" });
    expect(readModel(path()).graph.initializers[0]?.bytes).toEqual(Uint8Array.from({ length: 16 }, (_, i) => i));
  });

  test.each([
    ["../w.bin"],
    ["a/../../w.bin"],
    ["sub/../w.bin"],
    [".."],
    ["/etc/passwd"],
    ["\\\\server\\share"],
    ["..\\w.bin"],
    ["C:/w.bin"],
    ["c:w.bin"],
    ["w.bin\0.txt"],
    [""],
    ["*/_ORT_MEM_ADDR_/*"],
    ["a".repeat(5000)],
  ])("to %j are refused by name", (location) => {
    data();
    refer({ location });
    expectCode(() => readModel(path()), "QKV410");
    expectCode(() => decodeModel(readFileSync(path())), "QKV410");
  });

  test.each([
    ["-4"],
    ["+4"],
    ["0x10"],
    ["1e1"],
    [" 1"],
    ["1.0"],
    [""],
    ["9223372036854775807"],
    ["99999999999999999999"],
    ["١"],
  ])("with a number written %j are refused", (digits) => {
    data();
    refer({ location: "w.bin", offset: digits });
    expectCode(() => readModel(path()), "QKV410");
    refer({ location: "w.bin", length: digits });
    expectCode(() => readModel(path()), "QKV410");
  });

  test("with unknown, missing or repeated keys are refused", () => {
    data();
    refer({ location: "w.bin", __class__: "x" });
    expectCode(() => readModel(path()), "QKV410");
    refer({ offset: "0" });
    expectCode(() => readModel(path()), "QKV410");
    const location = { key: "location", value: "w.bin" };
    const externalData = [location, location];
    writeFileSync(path(), modelWithTensor({ dataType: 1, dims: [4n], dataLocation: 1, externalData }));
    expectCode(() => readModel(path()), "QKV410");
  });

  test("to data outside the file are refused", () => {
    data();
    for (const offset of ["49", "64", "4096", "9007199254740991"]) {
      refer({ location: "w.bin", offset, length: "16" });
      expectCode(() => readModel(path()), "QKV412");
    }
    refer({ location: "w.bin", offset: "48", length: "16" });
    expect(readModel(path()).graph.initializers[0]?.bytes).toEqual(new Uint8Array(16));
    refer({ location: "w.bin", length: "12" });
    expectCode(() => readModel(path()), "QKV404");
    refer({ location: "w.bin", length: "1125899906842624" });
    expectCode(() => readModel(path()), "QKV404");
  });

  test("over links are refused", () => {
    writeFileSync(join(root, "secret"), new Uint8Array(64));
    symlinkSync(join(root, "secret"), path("out"));
    symlinkSync(root, path("up"));
    data();
    symlinkSync(path("w.bin"), path("inside"));
    for (const location of ["out", "up/secret", "inside"]) {
      refer({ location });
      expectCode(() => readModel(path()), "QKV411");
    }
  });

  test("to a file with a second name are refused", () => {
    writeFileSync(join(root, "secret"), new Uint8Array(64));
    linkSync(join(root, "secret"), path("w.bin"));
    refer({ location: "w.bin" });
    expectCode(() => readModel(path()), "QKV411");
  });

  test("to pipes, folders and missing files are refused", () => {
    execFileSync("mkfifo", [path("pipe")]);
    mkdirSync(path("sub"));
    for (const location of ["pipe", "sub", ".", "missing", "w.bin/x"]) {
      refer({ location });
      expectCode(() => readModel(path()), "QKV413");
    }
  });

  test("count against the limit, and may not overlap", () => {
    writeModel(path(), weights(), { externalDataLimit: 0 });
    expectCode(() => readModel(path(), { limits: { externalBytes: 9000 } }), "QKV409");
    const reference = (offset: number) => ({
      name: `w${offset}`,
      dtype: "u8" as const,
      dims: [60],
      bytes: { location: "w.bin", offset, length: 60 },
    });
    data();
    writeModel(path(), model({ initializers: [reference(0), { ...reference(0), name: "tied" }] }));
    const [first, tied] = readModel(path()).graph.initializers;
    expect(first?.bytes).toBe(tied?.bytes);
    writeModel(path(), model({ initializers: [reference(0), reference(4)] }));
    expectCode(() => readModel(path()), "QKV412");
  });
});

describe("writing", () => {
  const options = { externalDataLimit: 0 };

  test("leaves nothing behind but the files", () => {
    writeModel(path(), weights(), options);
    writeModel(path(), weights(), options);
    expect(readdirSync(folder).sort()).toEqual(["m.onnx", "m.onnx.data"]);
  });

  test("that fails leaves the folder as it was", () => {
    writeModel(path(), weights(), options);
    const before = [readFileSync(path()), readFileSync(path("m.onnx.data"))];
    const wrong = model({ name: "\ud800", initializers: weights().graph.initializers });
    expectCode(() => writeModel(path(), wrong, options), "QKV416");
    expect([readFileSync(path()), readFileSync(path("m.onnx.data"))]).toEqual(before);
    expect(readdirSync(folder).sort()).toEqual(["m.onnx", "m.onnx.data"]);
  });

  test("to a name that is taken by a folder or a link is refused before anything changes", () => {
    mkdirSync(path());
    expectCode(() => writeModel(path(), weights(), options), "QKV415");
    expect(readdirSync(folder)).toEqual(["m.onnx"]);
    symlinkSync(join(root, "elsewhere"), path("n.onnx.data"));
    expectCode(() => writeModel(path("n.onnx"), weights(), options), "QKV415");
    expect(readdirSync(root)).toEqual(["models"]);
    expect(readdirSync(folder).sort()).toEqual(["m.onnx", "n.onnx.data"]);
  });

  test("replaces a file of several names without changing the others", () => {
    writeFileSync(join(root, "other"), "keep");
    linkSync(join(root, "other"), path());
    writeModel(path(), weights());
    expect(readFileSync(join(root, "other"), "utf8")).toBe("keep");
  });

  test("to a name too long for its data leaves nothing", () => {
    const long = "m".repeat(251);
    expectCode(() => writeModel(path(long), weights(), options), "QKV415");
    expect(readdirSync(folder)).toEqual([]);
    expect(writeModel(path(long), weights()).files).toEqual([path(long)]);
  });

  test("outside the given folder, or into none, is refused", () => {
    expectCode(() => writeModel(join(root, "m.onnx"), weights(), { folder }), "QKV415");
    expectCode(() => writeModel(path("../m.onnx"), weights(), { folder }), "QKV415");
    symlinkSync(root, path("up"));
    expectCode(() => writeModel(path("up/m.onnx"), weights(), { folder }), "QKV415");
    expectCode(() => writeModel(path("none/m.onnx"), weights()), "QKV415");
    mkdirSync(path("..models"));
    expect(writeModel(path("..models/m.onnx"), weights(), { folder }).files.length).toBe(1);
  });

  test.skipIf(process.getuid?.() === 0)("to a folder without permission is refused", () => {
    chmodSync(folder, 0o500);
    expectCode(() => writeModel(path(), weights(), options), "QKV415");
    chmodSync(folder, 0o700);
  });

  test("never takes the name of data the model still refers to", () => {
    const reference = { location: "m.onnx.data", offset: 0, length: 4 };
    const initializers = [
      ...weights().graph.initializers,
      { name: "r", dtype: "f32" as const, dims: [1], bytes: reference },
    ];
    expectCode(() => writeModel(path(), model({ initializers }), options), "QKV415");
  });
});
