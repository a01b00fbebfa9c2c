import { setTimeout as sleep } from "node:timers/promises";
import { fail } from "../../ir/diagnostics.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { foreignLoad } from "./foreign-load.ts";
import type { BoundRun, Session } from "./session.ts";

export interface Variant {
  readonly name: string;
  readonly session: Session;
  readonly feeds: ReadonlyMap<string, HostTensor>;
  /** Outputs to compute and copy back. Default: all. Copies to JavaScript are part of the time. */
  readonly outputs?: readonly string[];
}

export interface MeasureOptions {
  /** Interleaved rounds. Default 7. */
  readonly rounds?: number;
  /** Least measured time per variant and round, in ms. Default 60. */
  readonly minMs?: number;
  /** Least unmeasured time per variant and round, in ms. Default 45; see `measure` on why it must not be small. */
  readonly warmupMs?: number;
  /** Idle time before each variant's turn, in ms. Default 20. */
  readonly restMs?: number;
  /** Stop after the round in which this much time has passed, in ms. The first round is always finished. */
  readonly budgetMs?: number;
  /** Called after each variant of each round. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Milliseconds of one run. */
export interface Latency {
  /** Median over rounds of the median within the round. */
  readonly median: number;
  /** 10th percentile of all samples. */
  readonly p10: number;
  /** 90th percentile of all samples. */
  readonly p90: number;
  /** Measured runs. */
  readonly n: number;
}

/** Runs shorter than this are timed in batches, so that a sample outweighs the clock and the scheduling of promises. */
const sampleMs = 0.5;

/**
 * Times variants against each other in this process, so that they share the machine's mood: in each round every
 * variant in turn runs unmeasured for `warmupMs`, then measured for `minMs`; every other round goes backwards.
 *
 * Idle worker threads of one session spin for a while and would slow the next variant, so each turn starts with a
 * rest and a warm-up that outlast the spinning. With both, four sessions of one graph agree within 1–3 %; without,
 * they ran up to 2.5 times slower than alone. Sessions opened with `spinning: false` need neither, but middling graphs
 * (0.1 ms) then run 1.5 times slower and vary by 15 %: measure with the default.
 *
 * Where the system tells how busy its processors are, rounds with more than 0.3 foreign processors busy are repeated,
 * at most as many again, and the quietest `rounds` of them count.
 *
 * Returned in the order given. Throws QKV451 for options that make no sense, and as `Session.bind` does.
 */
export async function measure(variants: readonly Variant[], options: MeasureOptions = {}): Promise<Latency[]> {
  const { rounds = 7, minMs = 60, warmupMs = 45, restMs = 20, budgetMs = Number.POSITIVE_INFINITY } = options;
  checkOptions(rounds, { minMs, warmupMs, restMs, budgetMs });
  const timers = variants.map(({ session, feeds, outputs }) => timer(session.bind(feeds, outputs)));
  if (timers.length === 0) return [];
  const started = now();
  const kept: Round[] = [];
  let done = 0;
  for (let round = 0; kept.filter(isQuiet).length < rounds && round < 2 * rounds; round++) {
    const foreign = foreignLoad();
    const samples = new Map<Timer, Samples>();
    for (const one of round % 2 === 0 ? timers : timers.toReversed()) {
      await sleep(restMs);
      samples.set(one, await one(warmupMs, minMs));
      options.onProgress?.(++done, Math.max(rounds, round + 1) * timers.length);
    }
    kept.push({ foreign: foreign(), samples });
    if (now() - started >= budgetMs) break;
  }
  const best = kept.toSorted((a, b) => a.foreign - b.foreign).slice(0, rounds);
  return timers.map((one) => summarise(best.map(({ samples }) => samples.get(one)!)));
}

interface Round {
  /** Processors kept busy by others, on average. */
  readonly foreign: number;
  readonly samples: ReadonlyMap<Timer, Samples>;
}

interface Samples {
  readonly perRun: readonly number[];
  readonly runs: number;
}

const isQuiet = ({ foreign }: Round): boolean => foreign <= 0.3;

function checkOptions(rounds: number, times: Readonly<Record<string, number>>): void {
  if (!Number.isInteger(rounds) || rounds < 1) fail("QKV451", `rounds must be a whole number from 1, not ${rounds}`);
  for (const [name, ms] of Object.entries(times))
    if (!(ms >= 0)) fail("QKV451", `${name} must be a time in milliseconds, not ${ms}`);
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

type Timer = (warmupMs: number, minMs: number) => Promise<Samples>;

function timer(bound: BoundRun): Timer {
  const batch = async (size: number): Promise<number> => {
    const start = now();
    for (let i = 0; i < size; i++) await bound.run();
    return now() - start;
  };

  const warmUp = async (warmupMs: number): Promise<number> => {
    let [elapsed, count] = [0, 0];
    do {
      elapsed += await batch(1);
      count++;
    } while (elapsed < warmupMs);
    return elapsed / count;
  };

  return async (warmupMs, minMs) => {
    const size = Math.max(1, Math.ceil(sampleMs / (await warmUp(warmupMs))));
    const perRun: number[] = [];
    let elapsed = 0;
    do {
      const taken = await batch(size);
      elapsed += taken;
      perRun.push(taken / size);
    } while (elapsed < minMs);
    return { perRun, runs: perRun.length * size };
  };
}

function summarise(rounds: readonly Samples[]): Latency {
  const samples = rounds.flatMap(({ perRun }) => perRun);
  return {
    median: quantile(
      rounds.map(({ perRun }) => quantile(perRun, 0.5)),
      0.5,
    ),
    p10: quantile(samples, 0.1),
    p90: quantile(samples, 0.9),
    n: rounds.reduce((total, { runs }) => total + runs, 0),
  };
}

/** Linear interpolation between the order statistics; `values` must not be empty. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}
