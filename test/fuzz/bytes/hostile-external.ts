import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "../../../src/backends/onnx/proto/generated/onnx_pb.ts";
import type { Draw } from "../../pipeline/support/draw.ts";

const locations = [
  "w.bin",
  "./w.bin",
  "sub/w.bin",
  "sub//w.bin",
  "sub/./w.bin",
  "../secret",
  "sub/../../secret",
  "sub/../w.bin",
  "link",
  "hard",
  "up/secret",
  "pipe",
  "sub",
  ".",
  "",
  "/dev/zero",
  "/proc/self/environ",
  "C:\\secret",
  "..\\secret",
  "*/_ORT_MEM_ADDR_/*",
  "w.bin\0.txt",
  "missing",
  "W.BIN",
  "m.onnx",
  "x".repeat(5000),
  "w.bin/",
  "\u202ew.bin",
];
const numbers = [
  "0",
  "1",
  "16",
  "48",
  "64",
  "65",
  "-4",
  "9223372036854775807",
  "18446744073709551616",
  "1e3",
  "0x10",
  " 16",
  "",
];
const keys = ["checksum", "basepath", "__proto__", "location", "offset"];
const sizes = [0n, 1n, 4n, 15n, 16n, 17n, 2n ** 40n, 2n ** 62n, -1n];

/** A model whose weights lie outside, at places of all kinds. */
export function hostileExternal(draw: Draw): Uint8Array {
  const tensor = (name: string) => {
    const dims = [draw.chance(0.6) ? 4n : draw.pick(sizes)];
    const externalData = [{ key: "location", value: draw.chance(0.3) ? "w.bin" : draw.pick(locations) }];
    if (draw.chance(0.6)) externalData.push({ key: "offset", value: draw.pick(numbers) });
    if (draw.chance(0.6)) externalData.push({ key: "length", value: draw.pick(numbers) });
    if (draw.chance(0.1)) externalData.push({ key: draw.pick(keys), value: draw.pick(locations) });
    return { name, dataType: draw.pick([1, 1, 1, 2, 7, 8, 22, 99]), dims, dataLocation: 1, externalData };
  };
  const initializer = Array.from({ length: draw.int(1, 3) }, (_, i) => tensor(`w${i}`));
  const opsetImport = [{ domain: "", version: 21n }];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 10n, opsetImport, graph: { name: "g", initializer } }),
  );
}
