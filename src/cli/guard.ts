import { Console } from "node:console";
import { fileURLToPath } from "node:url";
import { locationIn } from "../dsl/site.ts";
import { QkvError } from "../ir/diagnostics.ts";
import { describeFailure } from "./render.ts";

/**
 * Runs a command up to its last byte of output. Code of a model file shares the process: what it throws where nothing
 * waits for it ends the process with QKV134, and so does ending it; its console is stderr, since stdout is for results.
 * Output that cannot be written ends it with QKV507.
 */
export async function guarded(command: () => Promise<unknown>): Promise<void> {
  const { console } = globalThis;
  globalThis.console = new Console(process.stderr);
  process.on("uncaughtException", stray).on("unhandledRejection", stray).on("exit", endedByModel);
  process.stdout.on("error", unwritable);
  try {
    await command();
    await flushed(process.stdout);
  } finally {
    release();
    globalThis.console = console;
  }
}

function release(): void {
  process.off("uncaughtException", stray).off("unhandledRejection", stray).off("exit", endedByModel);
  process.stdout.off("error", unwritable);
}

/** Resolves when all that was written so far is out of the process. */
export const flushed = (stream: NodeJS.WritableStream): Promise<void> =>
  new Promise((done) => void stream.write("", () => done()));

/** Tells what went wrong, and ends the process before the command can go on. */
function end(error: unknown): never {
  release();
  const { text, exit } = describeFailure(error);
  process.stderr.write(text);
  process.exit(exit);
}

function unwritable({ code, message }: NodeJS.ErrnoException): void {
  if (code !== "EPIPE") end(new QkvError("QKV507", `cannot write to stdout: ${message}`));
  // A reader that closes early (head, less) is no failure.
  release();
  process.exit(0);
}

const own = fileURLToPath(new URL("..", import.meta.url));
const isOwn = (file: string): boolean => file.startsWith(own);
const isAuthors = (file: string): boolean => !isOwn(file) && !file.includes("node_modules");

/** What was thrown outside of everything awaited: the model's doing, unless it came out of our own code. */
function stray(reason: unknown): void {
  if (reason instanceof QkvError) end(reason);
  const stack = reason instanceof Error ? (reason.stack ?? "") : "";
  const first = locationIn(stack);
  if (first && isOwn(first.file)) end(reason);
  const location = locationIn(stack, isAuthors);
  const message = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
  const notes = ["the model file threw it where nothing waits for it: in a timer, or a promise without await"];
  end(new QkvError("QKV134", message, { ...(location && { location }), notes }));
}

function endedByModel(): void {
  const location = locationIn(new Error().stack ?? "", isAuthors);
  const help = "leave process.exit out: a model file only declares";
  end(new QkvError("QKV134", "the model file ended the process", { ...(location && { location }), help }));
}
