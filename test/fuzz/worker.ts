import { closeSync, openSync, writeSync } from "node:fs";
import { subjects, tidyUp } from "./subjects.ts";

/** What a worker tells: a case that failed, or how many are done. */
export interface Told {
  readonly seed: number;
  readonly done: number;
  readonly problems: readonly string[];
}

const [name, first, file, until] = process.argv.slice(2) as [string, string, string, string];
const subject = subjects.find((each) => each.name === name)!;
const state = openSync(file, "w");
const tell = (told: Told) => new Promise((resolve) => process.send!(told, resolve));
const secondsBetween = 1;

process.on("disconnect", () => process.exit(0));

let told = performance.now();
let done = 0;
for (let seed = Number(first); Date.now() < Number(until); seed++) {
  // Written before the case runs: a process that ends, or hangs, leaves the seed behind.
  writeSync(state, `${seed}`.padEnd(16), 0);
  const problems = await subject.check(seed).catch((error: unknown) => [String((error as Error)?.stack ?? error)]);
  done++;
  if (problems.length === 0 && performance.now() - told < secondsBetween * 1000) continue;
  await tell({ seed, done, problems });
  [told, done] = [performance.now(), 0];
}
await tell({ seed: Number.NaN, done, problems: [] });
closeSync(state);
tidyUp();
process.disconnect();
