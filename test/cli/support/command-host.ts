import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that runs command lines one after another; it ends with the process that made it. */
export class CommandHost {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #isOpen = true;

  constructor(env: NodeJS.ProcessEnv) {
    this.#child = fork(fileURLToPath(new URL("./host.mjs", import.meta.url)), {
      env,
      execArgv: [],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    for (const stream of this.#streams) stream.setEncoding("utf8");
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", (code) => {
        this.#isOpen = false;
        resolve(code);
      });
    });
  }

  /** False once the process is gone. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get #streams(): readonly [Readable, Readable] {
    return [this.#child.stdout!, this.#child.stderr!];
  }

  /** What one command line writes, and its exit code; the process's own, where that ends. One at a time. */
  async run(args: readonly string[], cwd: string): Promise<Outcome> {
    const mark = `\u0000${randomUUID()}\u0000`;
    const [stdout, stderr] = this.#streams;
    const texts = Promise.all([textUpTo(mark, stdout, this.#ended), textUpTo(mark, stderr, this.#ended)]);
    const answer = once(this.#child, "message") as Promise<[{ readonly code: number }]>;
    this.#child.send({ args, cwd, mark });
    const code = await Promise.race([answer.then(([{ code }]) => code), this.#ended]);
    const [out, err] = await texts;
    return { code, stdout: out, stderr: err };
  }
}

/** What a stream says before `mark`, or until `end`. */
function textUpTo(mark: string, stream: Readable, end: Promise<unknown>): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const read = (part: string) => {
      text += part;
      if (text.endsWith(mark)) finish(text.slice(0, -mark.length));
    };
    const finish = (said: string) => {
      stream.off("data", read);
      resolve(said);
    };
    stream.on("data", read);
    void end.then(() => finish(text));
  });
}
