import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildTimeout, built, expectMistake, qkv, qkvAlone, qkvRight, temporaryFolder } from "./support/command.ts";

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
  "shadowed",
  "clock",
  "inner",
  "nan",
  "other-length",
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

describe("a table read from JSON", () => {
  const folder = temporaryFolder();
  const file = join(folder, "model with table.ts");
  const program = `
import { attention, input, model } from "qkv";
import slopes from "./slopes.json" with { type: "json" };
export default model("json", () => {
  const q = input("q", "f32", ["batch", 2, "seq", 8]);
  return { y: attention(q, q, q, { score: (s, { q, k }) => (k <= q ? s + slopes[q - k] : s) }) };
});`;

  test("runs as far as the table reaches, and is refused beyond", async () => {
    writeFileSync(file, program.trimStart());
    writeFileSync(join(folder, "slopes.json"), JSON.stringify([0, -0.5, -1, -1.5]));
    await qkvRight(["run", file, "--dims", "seq=4"], { types: true });
    const outcome = await qkv(["run", file, "--dims", "seq=5"], { types: true });
    expectMistake(outcome, "QKV148");
    expect(outcome.stderr).toContain("at q = 4, k = 0 the index is 4, outside of slopes, which has 4 there");
    expect(outcome.stderr).toContain("model with table.ts:5:81");
    expectMistake(await qkv(["compile", file, "-o", join(folder, "x.onnx"), "--dims", "seq=9"]), "QKV148");
    // The default length is 128.
    expectMistake(await qkv(["run", file]), "QKV148");
    writeFileSync(join(folder, "slopes.json"), "[0, ");
    const broken = await qkvAlone(["print", file]);
    expectMistake(broken, "QKV134");
    expect(broken.stderr).toContain("slopes.json is no JSON");
  });
});
