#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";

// A reader that closes early (head, less) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 70));

process.exitCode = await runCommandLine(process.argv.slice(2));
