import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeModel, readModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { exportGraph } from "../../../src/backends/onnx/export.ts";
import { importModel } from "../../../src/backends/onnx/import/import.ts";
import { isExternal } from "../../../src/backends/onnx/schema.ts";
import { formatTensors, parseTensors } from "../../../src/backends/ort/tensor-files.ts";
import { decodeUtf8 } from "../../../src/backends/weights/regular-file.ts";
import { openSafetensors } from "../../../src/backends/weights/safetensors.ts";
import { writeSafetensors } from "../../../src/backends/weights/safetensors-write.ts";
import { Arena } from "../../../src/ir/arena.ts";
import { sameGraph } from "../../../src/ir/equal.ts";
import { formulaText, parseFormula } from "../../../src/ir/index-expr/text.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { constantTable, printGraph } from "../../../src/ir/print.ts";
import { elementCount, fromNumbers } from "../../../src/ir/tensor.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { ortCpuTarget } from "../../../src/passes/target.ts";
import { type Draw, drawing } from "../../pipeline/support/draw.ts";
import { randomModel } from "../../pipeline/support/random-model.ts";
import { hostileExternal } from "./hostile-external.ts";

/** A folder to read from, with data beside the model and a secret outside. */
export interface Sandbox {
  readonly folder: string;
  close(): void;
}

const secret = "the contents of a file outside, which nobody may read";

export function openSandbox(): Sandbox {
  const root = mkdtempSync(join(tmpdir(), "qkv-fuzz-"));
  const folder = join(root, "models");
  mkdirSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(root, "secret"), secret);
  for (const data of ["w.bin", "sub/w.bin"]) writeFileSync(join(folder, data), new Uint8Array(64));
  symlinkSync(join(root, "secret"), join(folder, "link"));
  symlinkSync(root, join(folder, "up"));
  linkSync(join(root, "secret"), join(folder, "hard"));
  return { folder, close: () => rmSync(root, { recursive: true, force: true }) };
}

/** Something that reads bytes others wrote: it may refuse them by one of our errors, or must give what holds together. */
export interface Reader {
  readonly name: string;
  /** Good files, to be damaged. */
  readonly files: readonly Uint8Array[];
  /** Files made as they are, instead of damaged ones, now and then. */
  readonly made?: (draw: Draw) => Uint8Array;
  /** Throws what the reader throws, or an Error where what was read does not hold together. */
  read(bytes: Uint8Array, sandbox: Sandbox): void;
}

const utf8 = new TextEncoder();

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const seeds = [3, 8, 21];
const models = () => seeds.map((seed) => randomModel(seed, 3));

function onnxFiles(): readonly Uint8Array[] {
  const target = ortCpuTarget();
  const weights = { read: () => fromNumbers("f32", [], [0]) };
  return models().map(({ graph, arena, weights: given }) => {
    const read = (name: string) => given.get(name) ?? weights.read();
    return encodeModel(
      exportGraph(graph, {
        arena,
        target,
        weights: { read },
        metadata: new Map(),
        dims: new Map(),
        producerVersion: "0",
      }),
    ).model;
  });
}

const onnx: Reader = {
  name: "onnx",
  files: onnxFiles(),
  made: hostileExternal,
  read(bytes, { folder }) {
    const path = join(folder, "m.onnx");
    writeFileSync(path, bytes);
    const model = readModel(path);
    for (const { bytes: data } of model.graph.initializers)
      must(isExternal(data) || !Buffer.from(data).includes(secret.slice(0, 4)), "a tensor holds what lies outside");
    const again = encodeModel(decodeModel(bytes)).model;
    must(sameBytes(again, encodeModel(decodeModel(again)).model), "what was read is written and read differently");
    const { graph, arena } = importModel(model);
    verifyGraph(graph, { arena });
  },
};

const someTensors = () =>
  new Map([
    ["a.weight", fromNumbers("f32", [2, 3], [1, -2, 3.5, 0, -0, 1e-9])],
    ["b", fromNumbers("i64", [], [7])],
    ["__proto__", fromNumbers("bool", [3], [1, 0, 1])],
    ["h", fromNumbers("f16", [0, 4], [])],
  ]);

function safetensorsFile(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "qkv-fuzz-"));
  const path = join(folder, "w.safetensors");
  writeSafetensors(path, someTensors());
  const bytes = readFileSync(path);
  rmSync(folder, { recursive: true });
  return bytes;
}

const safetensors: Reader = {
  name: "safetensors",
  files: [safetensorsFile()],
  read(bytes, { folder }) {
    const path = join(folder, "m.onnx");
    writeFileSync(path, bytes);
    const file = openSafetensors(path);
    for (const name of file.names()) {
      const { dims, data } = file.read(name);
      must(elementCount(dims) === data.length, `${name} has ${data.length} elements for [${dims.join(", ")}]`);
    }
  },
};

/** A reader of text; bytes that are no UTF-8 are none of its business. */
const ofText = (name: string, files: readonly string[], read: (text: string) => void): Reader => ({
  name,
  files: files.map((text) => utf8.encode(text)),
  read(bytes) {
    const text = decodeUtf8(bytes);
    if (text !== undefined) read(text);
  },
});

const json = ofText("json", [formatTensors(someTensors())], (text) => {
  const written = formatTensors(parseTensors(text, "t.json"));
  must(written === formatTensors(parseTensors(written, "t.json")), "what was read is written and read differently");
});

const branch =
  "graph @g(%c: bool[], %x: f32[S]) { %y: f32[S] = if(%c, %x) {whenTrue = graph @t(%x: f32[S]) { %y: f32[S] = exp(%x) return %y }, whenFalse = graph @f(%x: f32[S]) { %y: f32[S] = mul(%x, 2) return %y }} return %y }";

const ir = ofText("ir", [...models().map(({ graph, arena }) => printGraph(graph, { arena })), branch], (text) => {
  const arena = new Arena();
  const graph = parseGraph(text, arena);
  const printed = printGraph(graph, { arena });
  must(
    sameGraph(graph, parseGraph(printed, new Arena(), { constants: constantTable(graph) })),
    "it prints as another graph",
  );
  verifyGraph(graph, { arena });
});

const formulas = [
  "k <= q && q - k < 4 || table0[b][q] === table0[b][k]",
  "5 * Math.tanh(s / 5) - 2 ** -(h + 1) * (q - k)",
  "(q & 3) === ((k >> 2) ^ 1) ? -Infinity : s",
];

const formula = ofText("formula", formulas, (text) => {
  const expr = parseFormula(text);
  must(parseFormula(formulaText(expr)) === expr, "it prints as another formula");
});

export const readers: readonly Reader[] = [onnx, safetensors, json, ir, formula];

/** The bytes of a seed, and who reads them. */
export const drawFor = (seed: number): readonly [Reader, Draw] => {
  const draw = drawing(seed);
  return [draw.pick(readers), draw];
};
