import { beforeAll, expect, test } from "vitest";
import { buildTimeout, built, expectMistake, qkv } from "./support/command.ts";

/**
 * What the command line says of mask and score functions that have no formula, to the letter. After a change that means
 * to change it, bless with -u.
 */
const wrong = [
  "number",
  "truth",
  "undeclared",
  "while",
  "outside",
  "outside-condition",
  "outside-open",
  "data-loop",
  "data-branch",
  "arity",
  "this",
  "log",
];

beforeAll(built, buildTimeout);

test("each is one error with its place and what to do", async () => {
  const frames: string[] = [];
  for (const name of wrong) {
    const outcome = await qkv(["print", `test/diagnostics/programs/function-${name}.ts`]);
    expectMistake(outcome, /^QKV1[45]\d$/);
    expect(outcome.stderr).toMatch(/ {3}help: /);
    frames.push(outcome.stderr);
  }
  await expect(frames.join("\n")).toMatchFileSnapshot("./wrong-functions.txt");
});

test("what the build says comes before what the type checker says", async () => {
  for (const command of ["print", "compile", "explain"]) {
    const file = "test/diagnostics/programs/function-number.ts";
    const args = command === "compile" ? [command, file, "-o", "never-written.onnx"] : [command, file];
    expectMistake(await qkv(args, { types: true }), "QKV146");
  }
});
