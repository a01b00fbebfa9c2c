import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { encodeModel } from "../../src/backends/onnx/encode.ts";
import type { OnnxModel } from "../../src/backends/onnx/schema.ts";
import { graph, info, modelOf, node, tensor } from "../import/support.ts";
import { buildTimeout, built, expectMistake, qkv, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const hostile = "\u001b[31m<script>alert(1)</script>\u009b2J\u202e";
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const driving = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;
const x = info("x", "f32", [2]);
const y = info("y", "f32", [2]);
const neg = [node("Neg", ["x"], ["y"])];

const files: Readonly<Record<string, OnnxModel>> = {
  "new.onnx": { ...modelOf(graph(neg, [x], [y])), opsetImports: [{ domain: "", version: 99 }] },
  "lie.onnx": modelOf(graph(neg, [x], [info("y", "i64", [2])])),
  "empty.onnx": modelOf(graph([], [], [])),
  "cycle.onnx": modelOf(graph([node("Neg", ["t"], ["y"]), node("Neg", ["y"], ["t"])], [x], [y])),
  "arity.onnx": modelOf(graph([node("Where", [], ["y"])], [x], [y])),
  "names.onnx": {
    ...modelOf({
      ...graph(
        [node("Mul", ["x", "w"], [hostile]), node("Neg", [hostile], ["y"])],
        [x],
        [y],
        [tensor("w", "f32", [2], [1, 2])],
      ),
      name: hostile,
    }),
    producerName: hostile,
    metadata: new Map([[hostile, hostile]]),
  },
};

beforeAll(async () => {
  await built();
  for (const [name, model] of Object.entries(files)) writeFileSync(at(name), encodeModel(model).model);
  mkdirSync(at("out"));
}, buildTimeout);

test.each([
  [["print", "new.onnx"], "QKV403"],
  [["import", "lie.onnx", "-o", "out/m.ts"], "QKV402"],
  [["compile", "empty.onnx", "-o", "out/m.onnx"], "QKV402"],
  [["explain", "cycle.onnx"], "QKV402"],
  [["compile", "arity.onnx", "-o", "out/m.onnx"], "QKV441"],
])("%j is refused with the file's name and leaves nothing", async (args, code) => {
  const outcome = await qkv(args, { cwd: folder });
  expectMistake(outcome, code);
  expect(outcome.stderr).toContain(args[1]);
  expect(readdirSync(at("out"))).toEqual([]);
});

test.each([[["print", "names.onnx"]], [["print", "names.onnx", "--dot"]], [["explain", "names.onnx"]]])(
  "%j shows names and says nothing to the terminal",
  async (args) => {
    expect(await qkvRight(args, { cwd: folder })).not.toMatch(driving);
  },
);

test("nor do reports, which run no script of a file", async () => {
  const against = ["compare", "names.onnx", "--against", "names.onnx", "--rounds", "1", "--no-memory"];
  const text = await qkvRight([...against, "--html", "report.html", "--json", "report.json"], { cwd: folder });
  const page = readFileSync(at("report.html"), "utf8");
  for (const written of [text, page, readFileSync(at("report.json"), "utf8")]) expect(written).not.toMatch(driving);
  expect(page).toContain("alert(1)");
  expect(page).not.toContain("<script>alert");
});
