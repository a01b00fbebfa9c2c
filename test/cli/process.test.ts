import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { buildTimeout, built, expectMistake, qkv, qkvAlone, temporaryFolder } from "./support/command.ts";

/**
 * Every command, right and wrong, in a process of its own: it ends by itself, with its exit code, and what it says is
 * what it says in the process in which the other tests make many of them.
 */
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const linear = "models/linear-attention.ts";
const inputs = at("inputs.json");

beforeAll(async () => {
  await built();
  writeFileSync(inputs, JSON.stringify({ x: { dtype: "f32", dims: [3, 2], data: [1, 2, 3, 4, 5, 6] } }));
  await qkv(["compile", linear, "-o", at("linear.onnx")]);
}, buildTimeout);

test.each([
  [["print", linear]],
  [["explain", linear]],
  [["run", linear, "--dims", "seq=3"]],
  [["compile", linear, "-o", at("out.onnx")]],
  [["verify", linear, "--set", "d=4"]],
  [["import", at("linear.onnx"), "-o", at("linear.ts"), "--force"]],
])("%j", async (args) => {
  const alone = await qkvAlone(args);
  expect(alone).toMatchObject({ code: 0, stderr: "" });
  expect(await qkv(args)).toEqual(alone);
});

test.each([
  [["compare", linear, "--dims", "seq=3", "--rounds", "1"]],
  [["reduce", linear, "--fires", "reassociate", "-o", at("reduced")]],
])("%j, which measures or makes what may not be there", async (args) => {
  expect(await qkvAlone(args)).toMatchObject({ code: 0, stderr: "" });
});

test.each([
  [["frobnicate"], "QKV501"],
  [["run", linear, "--inputs", inputs], "QKV442"],
  [["compare", linear, "--rounds", "0"], "QKV451"],
  [["compile", linear, "-o", at("absent/out.onnx")], "QKV415"],
])("%j, which is wrong", async (args, code) => {
  const alone = await qkvAlone(args);
  expectMistake(alone, code);
  expect(await qkv(args)).toEqual(alone);
});

test("a model that does not build waits for no type checker", async () => {
  const args = ["print", "test/diagnostics/programs/function-number.ts"];
  const alone = await qkvAlone(args, { types: true });
  expectMistake(alone, "QKV146");
  expect(await qkv(args, { types: true })).toEqual(alone);
});
