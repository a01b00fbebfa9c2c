import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect } from "vitest";
import { CommandHost, type Outcome } from "./command-host.ts";

export const checkout = fileURLToPath(new URL("../../../", import.meta.url));
export const main = join(checkout, "dist/src/cli/main.js");
const stamp = join(checkout, "dist/build.tsbuildinfo");
const lock = join(checkout, "node_modules/.cache/qkv-build-lock");

const newest = (folder: string): number =>
  Math.max(
    ...readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => statSync(join(parentPath, name)).mtimeMs),
  );

const isFresh = () => existsSync(main) && existsSync(stamp) && statSync(stamp).mtimeMs >= newest(join(checkout, "src"));

/** For hooks that wait for `built`, in ms. */
export const buildTimeout = 180_000;

/** Builds `dist` where it is absent or older than `src`; test files that run at once build it once. */
export async function built(): Promise<void> {
  if (isFresh()) return;
  mkdirSync(join(checkout, "node_modules/.cache"), { recursive: true });
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      // A lock older than any build was left by a run that was stopped.
      if (existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 90_000) rmSync(lock, { recursive: true });
      await sleep(200);
      if (isFresh()) return;
    }
  }
  try {
    const tsc = join(checkout, "node_modules/typescript/bin/tsc");
    rmSync(stamp, { force: true });
    spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: checkout });
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

interface CommandOptions {
  readonly cwd?: string;
  /** Let the type checker read the model file. Off where it is not what is tested: it takes a second each time. */
  readonly types?: boolean;
}

const readModels = new Set(["compile", "compare", "run", "print", "explain", "verify"]);
/** What a command of its own is told of the surroundings: no colours, whatever the tests themselves are run in. */
export const plainEnv = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, QKV_DEBUG: undefined };

function words(args: readonly string[], { types = false }: CommandOptions): readonly string[] {
  const plain = types || args.length < 2 || !readModels.has(args[0]!) || args.includes("--help");
  return plain ? args : [...args, "--no-types"];
}

/**
 * Runs the command line as a user does, in a process of its own. For what only that shows: that it ends by itself, the
 * code it exits with, what does not depend on the process, and model files that were read before they changed.
 */
export function qkvAlone(args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...words(args, options)], {
      cwd: options.cwd ?? checkout,
      env: plainEnv,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

let host: CommandHost | undefined;

/**
 * Runs the command line in the process of the call before: the compiled files on Node alone, as in `qkvAlone`, but
 * loaded once.
 */
export function qkv(args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  if (!host?.isOpen) host = new CommandHost(plainEnv);
  return host.run(words(args, options), options.cwd ?? checkout);
}

/** Runs a use that must succeed, and answers what it printed. */
export async function qkvRight(args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await qkv(args, options);
  expect({ args, code, stderr: code === 0 ? "" : stderr }).toEqual({ args, code: 0, stderr: "" });
  return stdout;
}

/** A folder that is gone when the test file is done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "qkv-cli-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A mistake is told as one error with its code; nothing of our own code is shown. */
export function expectMistake({ code, stdout, stderr }: Outcome, diagnostic: string | RegExp, exit = 2): void {
  expect({ code, stdout, error: /error\[(QKV\d+)\]/.exec(stderr)?.[1] }).toEqual({
    code: exit,
    stdout: "",
    error: expect.stringMatching(diagnostic),
  });
  expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  expect(stderr).not.toMatch(/node_modules|dist\/src/);
  expect(stderr.endsWith("\n")).toBe(true);
}
