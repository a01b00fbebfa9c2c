import { encodeModel } from "../src/backends/onnx/encode.ts";
import { compareOutputs, speedup } from "../src/backends/ort/compare-outputs.ts";
import { type Latency, type MeasureOptions, measure } from "../src/backends/ort/measure.ts";
import { openSession, type Session } from "../src/backends/ort/session.ts";
import { type Compiled, type CompileOptions, compile, type Declared } from "../src/compile.ts";
import { completeDims, randomFeeds } from "../src/feeds.ts";

/** Times of a declaration and how it was compiled. */
export interface AgainstDense {
  /** The graph as declared, every score computed, the runtime's optimiser off; then at its highest level; then ours. */
  readonly disabled: Latency;
  readonly all: Latency;
  readonly optimised: Latency;
  /** How many times faster ours is than each; null where outputs differ. */
  readonly overDisabled: number | null;
  readonly overAll: number | null;
  readonly maxRelError: number;
  /** Rules that fired. */
  readonly rules: readonly string[];
}

export const bytesOf = (compiled: Compiled): Uint8Array =>
  encodeModel(compiled.onnx(), { externalDataLimit: 2 ** 30 }).model;

/**
 * The dense graph and ours, timed in turns in one process on the same random inputs. Outputs are compared with those of
 * the dense graph, in float32; tests compare them with float64.
 */
export async function againstDense(
  declared: Declared,
  given: ReadonlyMap<string, number>,
  options: Pick<CompileOptions, "target"> = {},
  timing: MeasureOptions = {},
): Promise<AgainstDense> {
  const hints = completeDims(declared.graph, given);
  const feeds = randomFeeds(declared.graph, hints, 0);
  const dense = bytesOf(await compile(declared, { hints, naive: true }));
  const compiled = await compile(declared, { ...options, hints });
  const sessions: Session[] = [];
  try {
    for (const [model, level] of [
      [dense, "disabled"],
      [dense, "all"],
      [bytesOf(compiled), "all"],
    ] as const)
      sessions.push(await openSession(model, { level }));
    const { equal, maxRelError } = compareOutputs(await sessions[0]!.run(feeds), await sessions[2]!.run(feeds));
    const [disabled, all, optimised] = (await measure(
      sessions.map((session, i) => ({ name: String(i), session, feeds })),
      timing,
    )) as [Latency, Latency, Latency];
    const over = (slower: Latency) => speedup(slower, { median: optimised.median, equal }) ?? null;
    const rules = [...new Set(compiled.steps.flatMap(({ tally }) => [...tally.fired.keys()]))];
    return { disabled, all, optimised, overDisabled: over(disabled), overAll: over(all), maxRelError, rules };
  } finally {
    for (const session of sessions) await session.close();
  }
}
