import { Command, CommanderError } from "commander";
import { QkvError } from "../ir/diagnostics.ts";
import { version } from "../version.ts";
import { addCompare } from "./compare.ts";
import { addCompile } from "./compile.ts";
import { addDemo } from "./demo.ts";
import { addDoctor } from "./doctor.ts";
import { addExplain } from "./explain.ts";
import { guarded } from "./guard.ts";
import { addImport } from "./import.ts";
import { addPrint } from "./print.ts";
import { addReduce } from "./reduce.ts";
import { describeFailure } from "./render.ts";
import { addRun } from "./run.ts";
import { addVerify } from "./verify.ts";

/**
 * Runs one command line, given as the words after `qkv`, and answers its exit code. Failures are told on stderr, never
 * thrown; nothing of one call is left for the next, so that a process may make many.
 */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  try {
    await guarded(() => commands().parseAsync(words, { from: "user" }));
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Without a command, commander has shown the help by now.
    if (error instanceof CommanderError && error.code === "commander.help") return 2;
    const { text, exit } = describeFailure(error instanceof CommanderError ? mistyped(error) : error);
    process.stderr.write(text);
    return exit;
  }
}

/** All commands; commander keeps what it parsed in them, so each command line has its own. */
function commands(): Command {
  const program = new Command("qkv")
    .description("The attention compiler: declare attention in TypeScript, compare naive with optimised, export ONNX.")
    .version(version)
    .exitOverride()
    .configureHelp({ sortSubcommands: false })
    // Mistakes are told once, above, in the form of all others.
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
  return program;
}

/** What commander refuses, as one of ours; its suggestion, in brackets on a line of its own, becomes the help. */
function mistyped({ message }: CommanderError): QkvError {
  const [first = "", suggestion] = message.replace(/^error: /, "").split("\n");
  const help =
    suggestion === undefined ? "see qkv --help, or --help after a command" : suggestion.replace(/^\(|\)$/g, "");
  return new QkvError("QKV501", first, { help });
}
