import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DiagnosticCode, type DiagnosticDetails, fail, QkvError } from "../../ir/diagnostics.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import type { SessionOptions } from "./session.ts";

export interface MemoryOptions extends Omit<SessionOptions, "profilePrefix"> {
  /** Outputs to compute. Default: all. */
  readonly outputs?: readonly string[];
  /** Runs within which the peak is looked for. Default 2: the second uses the allocation pattern of the first. */
  readonly runs?: number;
  /** After this many ms the process is killed. Default 10 minutes. */
  readonly timeoutMs?: number;
}

export interface MemoryUse {
  /** Bytes of resident memory at the peak of the runs above `baselineBytes`: activations, work space, outputs. */
  readonly peakBytes: number;
  /** Bytes of resident memory with the model loaded and its inputs in place, before the first run. */
  readonly baselineBytes: number;
  /** `lifetime maximum` (not Linux) understates `peakBytes` where loading the model took more than running it. */
  readonly method: "high-water mark" | "lifetime maximum";
}

/** What the worker is sent. */
export interface MemoryTask {
  readonly model: string;
  readonly session: SessionOptions;
  readonly feeds: ReadonlyMap<string, HostTensor>;
  readonly outputs?: readonly string[];
  readonly runs: number;
}

export type MemoryReply =
  | ({ readonly kind: "done" } & MemoryUse)
  | {
      readonly kind: "failed";
      readonly code: DiagnosticCode;
      readonly message: string;
      readonly details: DiagnosticDetails;
    };

/**
 * Peak memory of running a model, measured in a process of its own so that nothing else counts. Resolution is about
 * a megabyte: heap and thread stacks move by that much.
 *
 * Throws QKV450 where the process dies or takes longer than `timeoutMs`, QKV451 for bad options, and what `openSession`
 * and `Session.run` throw. No process outlives the call.
 */
export async function peakMemory(
  model: Uint8Array | string,
  feeds: ReadonlyMap<string, HostTensor>,
  options: MemoryOptions = {},
): Promise<MemoryUse> {
  const { outputs, runs = 2, timeoutMs = 600_000, ...session } = options;
  if (!Number.isInteger(runs) || runs < 1) fail("QKV451", `runs must be a whole number from 1, not ${runs}`);
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) fail("QKV451", `timeoutMs must be from 0 to 2^31, not ${timeoutMs}`);
  const folder = await mkdtemp(join(tmpdir(), "qkv-memory-"));
  try {
    const path = typeof model === "string" ? model : join(folder, "model.onnx");
    if (typeof model !== "string") await writeFile(path, model);
    const task: MemoryTask = { model: path, session, feeds, runs, ...(outputs && { outputs }) };
    const worker = await workerFile();
    const { kind, ...use } = await ask(worker.file, task, timeoutMs).finally(worker.remove);
    return use;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Worker {
  readonly file: string;
  remove(): Promise<void>;
}

/** The built worker beside this file; from source, one bundled where its imports of packages resolve. */
async function workerFile(): Promise<Worker> {
  if (!import.meta.url.endsWith(".ts"))
    return { file: fileURLToPath(new URL("./memory-worker.js", import.meta.url)), remove: async () => {} };
  const { build } = await import("esbuild");
  const cache = fileURLToPath(new URL("../../../node_modules/.cache/", import.meta.url));
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "qkv-memory-"));
  const file = join(folder, "worker.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("./memory-worker.ts", import.meta.url))],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    outfile: file,
    logLevel: "silent",
  });
  return { file, remove: () => rm(folder, { recursive: true, force: true }) };
}

function ask(file: string, task: MemoryTask, timeoutMs: number): Promise<MemoryReply & { kind: "done" }> {
  const child = fork(file, [], {
    serialization: "advanced",
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const answer = reply(child, timeoutMs).finally(async () => {
    process.removeListener("exit", kill);
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    kill();
    await gone;
  });
  child.send(task, (error) => {
    // The exit of the child says why; a message that cannot be sent has no other witness.
    if (error) kill();
  });
  return answer;
}

function reply(child: ChildProcess, timeoutMs: number): Promise<MemoryReply & { kind: "done" }> {
  return new Promise((resolve, reject) => {
    const refuse = (message: string, help: string) => reject(new QkvError("QKV450", message, { help }));
    const timeout = setTimeout(
      () => refuse(`running the model took longer than ${timeoutMs} ms`, "use smaller dims or allow more time"),
      timeoutMs,
    );
    child.once("error", (error) => refuse(`the measuring process did not start: ${error.message}`, "see the message"));
    child.once("exit", (status, signal) =>
      refuse(
        `the measuring process ended with ${signal ?? `status ${status}`}`,
        "use smaller dims: memory may be short",
      ),
    );
    child.once("message", (message) => {
      const answer = message as MemoryReply;
      if (answer.kind === "done") resolve(answer);
      else reject(new QkvError(answer.code, answer.message, answer.details));
    });
    child.once("exit", () => clearTimeout(timeout));
  });
}
