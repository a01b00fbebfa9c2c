import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { progress } from "../../src/cli/progress.ts";
import { type Subject, subjects } from "./subjects.ts";
import type { Told } from "./worker.ts";

const usage = `npm run fuzz -- [graphs|bytes] [--seconds N] [--seed N] [--out DIR]

${subjects.map(({ name, doc }) => `  ${name.padEnd(8)}${doc}`).join("\n")}

Runs N seconds each (60), one case per seed from the one given (a new one every time). Failing cases are written to
DIR (out/fuzz). Exits with 4 where there are any.
`;

interface Found {
  readonly seed: number;
  readonly problems: readonly string[];
}

const line = progress();
const running = new Set<ChildProcess>();
/** What is said of a problem; the rest is in the kept case. */
const longest = 600;
const memory = "--max-old-space-size=2048";

/** Ends with the seed it was at, if it did not come to the end; the seed is read from the file it leaves. */
function runFrom(
  subject: Subject,
  seed: number,
  until: number,
  heard: (told: Told) => void,
): Promise<Found | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "qkv-fuzz-run-"));
  const state = join(folder, "seed");
  writeFileSync(state, `${seed}`);
  const at = () => Number.parseInt(readFileSync(state, "utf8"), 10);
  const args = [subject.name, `${seed}`, state, `${until}`];
  const child = fork(fileURLToPath(new URL("worker.js", import.meta.url)), args, { execArgv: [memory] });
  running.add(child);
  let hung = false;
  let last = { seed: Number.NaN, since: Date.now() };
  const watching = setInterval(() => {
    const now = at();
    if (now !== last.seed) last = { seed: now, since: Date.now() };
    else if (Date.now() - last.since > subject.secondsPerCase * 1000) hung = child.kill("SIGKILL");
  }, 500);
  child.on("message", (told: Told) => heard(told));
  return new Promise((resolve) => {
    child.on("exit", (code, signal) => {
      clearInterval(watching);
      running.delete(child);
      const seed = code === 0 ? undefined : at();
      rmSync(folder, { recursive: true, force: true });
      const what = hung
        ? `took more than ${subject.secondsPerCase} s`
        : `ended the process: ${signal ?? `exit code ${code}`}`;
      resolve(seed === undefined ? undefined : { seed, problems: [what] });
    });
  });
}

async function fuzz(subject: Subject, first: number, seconds: number, out: string): Promise<number> {
  const until = Date.now() + seconds * 1000;
  let [cases, failures] = [0, 0];
  const report = ({ seed, problems }: Found) => {
    failures++;
    const { extension, content } = subject.keep(seed, problems);
    mkdirSync(out, { recursive: true });
    const path = join(out, `${subject.name}-${seed}.${extension}`);
    writeFileSync(path, content);
    line.done();
    process.stdout.write(
      `${subject.name} --seed ${seed}: ${problems.map((problem) => problem.slice(0, longest)).join("\n  ")}\n  kept in ${path}\n`,
    );
  };
  process.stdout.write(`${subject.name}: seeds from ${first}, ${seconds} s\n`);
  for (let seed = first; Date.now() < until; ) {
    const ended = await runFrom(subject, seed, until, (told) => {
      cases += told.done;
      if (told.problems.length > 0) report(told);
      const left = Math.max(0, Math.round((until - Date.now()) / 1000));
      line.update(`${subject.name}: ${cases} cases, ${failures} failed, ${left} s left`);
    });
    if (!ended) break;
    report(ended);
    seed = ended.seed + 1;
  }
  line.done();
  process.stdout.write(`${subject.name}: ${cases} cases, ${failures} failed\n`);
  return failures;
}

function stop(): void {
  for (const child of running) child.kill("SIGTERM");
  line.done();
  process.exit(130);
}

/** A seed that differs from run to run, with room for as many cases as a run may have. */
const anySeed = () => (Date.now() % 2 ** 20) * 1000;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string" },
      out: { type: "string", default: "out/fuzz" },
      help: { type: "boolean", short: "h" },
    },
  });
  const [seconds, seed] = [Number(values.seconds), values.seed === undefined ? anySeed() : Number(values.seed)];
  const chosen = subjects.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const known = positionals.every((name) => subjects.some((subject) => subject.name === name));
  if (values.help || !known || !(seconds > 0) || !Number.isSafeInteger(seed)) {
    process.stdout.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  let failures = 0;
  for (const subject of chosen) failures += await fuzz(subject, seed, seconds, values.out);
  if (failures > 0) process.exitCode = 4;
}

await main();
