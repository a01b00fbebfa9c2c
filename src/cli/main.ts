#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addCompare } from "./compare.ts";
import { addCompile } from "./compile.ts";
import { addDemo } from "./demo.ts";
import { addDoctor } from "./doctor.ts";
import { addExplain } from "./explain.ts";
import { addPrint } from "./print.ts";
import { describeFailure } from "./render.ts";
import { addRun } from "./run.ts";
import { addVerify } from "./verify.ts";

const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("qkv")
  .description("The attention compiler: declare attention in TypeScript, compare naive with optimised, export ONNX.")
  .version(version)
  .exitOverride()
  .configureHelp({ sortSubcommands: false })
  .showSuggestionAfterError();
// Subcommands copy what the program overrides, so that is set before they are added.
for (const add of [addCompile, addCompare, addRun, addPrint, addExplain, addVerify, addDoctor, addDemo]) add(program);

// A reader that closes early (head, less) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 70));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  const { text, exit } = describeFailure(error);
  process.stderr.write(text);
  process.exitCode = exit;
}
