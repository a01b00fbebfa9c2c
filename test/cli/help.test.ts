import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { buildTimeout, built, checkout, qkvAlone, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
beforeAll(built, buildTimeout);

const commands = ["compile", "compare", "run", "print", "explain", "verify", "reduce", "import", "doctor", "demo"];

test("lists every command", async () => {
  const text = await qkvRight(["--help"]);
  for (const command of commands) expect(text).toMatch(new RegExp(`^  ${command}\\b`, "m"));
});

test.each(commands)("%s --help has examples", async (command) => {
  const text = await qkvRight([command, "--help"]);
  expect(text).toMatch(new RegExp(`^Usage: qkv ${command}`));
  expect(text).toMatch(new RegExp(`\nExamples:\n  qkv ${command}`));
});

test.each(["run", "print", "explain", "reduce"])(
  "the examples of %s --help on models that are there run",
  async (command) => {
    const text = await qkvRight([command, "--help"]);
    const examples = [...text.matchAll(/^ {2}qkv (.*models\/[^|\n]*)/gm)].map(([, line]) => line!.trim().split(" "));
    const runnable = examples.filter((words) => !words.includes("--inputs"));
    expect(runnable.length).toBeGreaterThan(0);
    const outputs = new Set(["-o", "--png"]);
    for (const words of runnable)
      await qkvRight(words.map((word, i) => (outputs.has(words[i - 1] ?? "") ? join(folder, word) : word)));
  },
);

test.each(commands)("%s is in the manual with all its options", async (command) => {
  const manual = readFileSync(join(checkout, "docs/cli.md"), "utf8");
  const text = await qkvRight([command, "--help"]);
  const options = [...text.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, option]) => option!);
  expect(options.filter((option) => option !== "--help" && !manual.includes(`${option}`))).toEqual([]);
});

test("without a command it shows the help and fails", async () => {
  const { code, stdout, stderr } = await qkvAlone([]);
  expect(code).toBe(2);
  expect(stdout + stderr).toContain("Usage: qkv");
});

test("says its version", async () => {
  const { version } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")) as { version: string };
  expect(await qkvAlone(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});
