#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { QkvError } from "../ir/diagnostics.ts";
import { version } from "../version.ts";
import { addCompare } from "./compare.ts";
import { addCompile } from "./compile.ts";
import { addDemo } from "./demo.ts";
import { addDoctor } from "./doctor.ts";
import { addExplain } from "./explain.ts";
import { addImport } from "./import.ts";
import { addPrint } from "./print.ts";
import { addReduce } from "./reduce.ts";
import { describeFailure } from "./render.ts";
import { addRun } from "./run.ts";
import { addVerify } from "./verify.ts";

const program = new Command("qkv")
  .description("The attention compiler: declare attention in TypeScript, compare naive with optimised, export ONNX.")
  .version(version)
  .exitOverride()
  .configureHelp({ sortSubcommands: false })
  // Mistakes are told once, below, in the form of all others.
  .configureOutput({ outputError: () => {} })
  .showSuggestionAfterError();
// Subcommands copy what the program overrides, so that is set before they are added.
for (const add of [
  addCompile,
  addCompare,
  addRun,
  addPrint,
  addExplain,
  addVerify,
  addReduce,
  addImport,
  addDoctor,
  addDemo,
])
  add(program);

// A reader that closes early (head, less) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 70));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
  // Without a command, commander has shown the help by now.
  if (error instanceof CommanderError && error.code === "commander.help") process.exit(2);
  const { text, exit } = describeFailure(error instanceof CommanderError ? mistyped(error) : error);
  process.stderr.write(text);
  process.exitCode = exit;
}

/** What commander refuses, as one of ours; its suggestion, in brackets on a line of its own, becomes the help. */
function mistyped({ message }: CommanderError): QkvError {
  const [first = "", suggestion] = message.replace(/^error: /, "").split("\n");
  const help =
    suggestion === undefined ? "see qkv --help, or --help after a command" : suggestion.replace(/^\(|\)$/g, "");
  return new QkvError("QKV501", first, { help });
}
