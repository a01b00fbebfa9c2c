import { fail } from "../../ir/diagnostics.ts";
import type { HostTensor } from "../../ir/tensor.ts";
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
 * Idle worker threads of one session spin for some milliseconds and would slow the next variant; the warm-up
 * outlasts that. Returned in the order given. Throws QKV451 for options that make no sense.
 */
export async function measure(variants: readonly Variant[], options: MeasureOptions = {}): Promise<Latency[]> {
  const { rounds = 7, minMs = 60, warmupMs = 45, budgetMs = Number.POSITIVE_INFINITY, onProgress } = options;
  checkOptions(rounds, { minMs, warmupMs, budgetMs });
  const timers = variants.map(({ session, feeds, outputs }) => timer(session.bind(feeds, outputs)));
  const started = now();
  const total = rounds * timers.length;
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 === 0 ? timers : timers.toReversed()) {
      await one.round(warmupMs, minMs);
      onProgress?.(++done, total);
    }
    if (now() - started >= budgetMs) break;
  }
  return timers.map((one) => one.latency());
}

function checkOptions(rounds: number, times: Readonly<Record<string, number>>): void {
  if (!Number.isInteger(rounds) || rounds < 1) fail("QKV451", `rounds must be a whole number from 1, not ${rounds}`);
  for (const [name, ms] of Object.entries(times))
    if (!(ms >= 0)) fail("QKV451", `${name} must be a time in milliseconds, not ${ms}`);
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

interface Timer {
  round(warmupMs: number, minMs: number): Promise<void>;
  latency(): Latency;
}

function timer(bound: BoundRun): Timer {
  const medians: number[] = [];
  const samples: number[] = [];
  let runs = 0;

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

  return {
    async round(warmupMs, minMs) {
      const estimate = await warmUp(warmupMs);
      const size = Math.max(1, Math.ceil(sampleMs / estimate));
      const inRound: number[] = [];
      let elapsed = 0;
      do {
        const taken = await batch(size);
        elapsed += taken;
        inRound.push(taken / size);
        runs += size;
      } while (elapsed < minMs);
      medians.push(quantile(inRound, 0.5));
      samples.push(...inRound);
    },
    latency: () => ({
      median: quantile(medians, 0.5),
      p10: quantile(samples, 0.1),
      p90: quantile(samples, 0.9),
      n: runs,
    }),
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
