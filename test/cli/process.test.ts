import { execSync, spawnSync } from "node:child_process";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  buildTimeout,
  built,
  checkout,
  expectMistake,
  main,
  plainEnv,
  qkv,
  qkvAlone,
  temporaryFolder,
} from "./support/command.ts";

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

const fine = `import { input, model } from "qkv";
export default model("m", () => ({ y: input("x", "f32", [2]).add(1) }));
`;
const modelFile = (name: string, text: string): string => {
  writeFileSync(at(name), fine + text);
  return at(name);
};

test.each([
  ["rejects where nobody waits", `Promise.reject(new Error("unhandled"));`, /Error: unhandled\n\s+--> .*:3:16\n/],
  ["rejects with no error", `Promise.reject("a text");`, /: a text\n/],
  ["throws later", `setTimeout(() => { throw new Error("late"); }, 0);`, /Error: late\n\s+--> .*:3:26\n/],
  ["ends the process", "process.exit(0);", /ended the process\n\s+--> .*:3:9\n/],
])("a model file that %s", async (name, text, says) => {
  const outcome = await qkvAlone(["compile", modelFile(`${name}.ts`, text), "-o", at("stray.onnx"), "--no-check"]);
  expectMistake(outcome, "QKV134");
  expect(outcome.stderr).toMatch(says);
  expect(outcome.stderr.match(/error\[/g)).toHaveLength(1);
  expect(existsSync(at("stray.onnx"))).toBe(false);
});

test("what a model file leaves running keeps no command, and what it prints is no result", async () => {
  const path = modelFile("busy.ts", `setInterval(() => {}, 1000);\nconsole.log("hello");\n`);
  const { code, stdout, stderr } = await qkvAlone(["explain", path, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "hello\n" });
  expect(JSON.parse(stdout)).toBeInstanceOf(Array);
});

test("much output reaches a slow reader whole", async () => {
  const shell = `"${process.execPath}" "${main}" run ${linear} --dims seq=3000 --no-types | (sleep 1; wc -c)`;
  const toFile = `"${process.execPath}" "${main}" run ${linear} --dims seq=3000 --no-types --outputs "${at("all.json")}"`;
  const bytes = Number(execSync(shell, { cwd: checkout, env: plainEnv, encoding: "utf8" }));
  execSync(toFile, { cwd: checkout, env: plainEnv });
  expect(bytes).toBe(statSync(at("all.json")).size);
});

test.skipIf(!existsSync("/dev/full"))("output that finds no room is a failure", () => {
  const shell = `"${process.execPath}" "${main}" run ${linear} --dims seq=3 --no-types > /dev/full`;
  const { status, stderr } = spawnSync(shell, { shell: true, cwd: checkout, env: plainEnv, encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^error\[QKV507\]: .*stdout.*\n$/) });
});

test("a model that does not build waits for no type checker", async () => {
  const args = ["print", "test/diagnostics/programs/function-number.ts"];
  const alone = await qkvAlone(args, { types: true });
  expectMistake(alone, "QKV146");
  expect(await qkv(args, { types: true })).toEqual(alone);
});
