#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";
import { flushed } from "./guard.ts";

// Told already where it can be; a stream that fails once more is not waited for.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const code = await runCommandLine(process.argv.slice(2));
await flushed(process.stderr);
// A model file may leave timers and servers open.
process.exit(code);
