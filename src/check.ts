import { agreement } from "./agreement.ts";
import type { OptimizationLevel } from "./backends/ort/session.ts";
import type { Compiled } from "./compile.ts";
import { randomFeeds, symbolsIn, usableSizes } from "./feeds.ts";
import { costOf } from "./ir/cost.ts";
import { type DiagnosticCode, fail, QkvError } from "./ir/diagnostics.ts";
import { evaluate } from "./ir/dim.ts";
import type { HostTensor } from "./ir/tensor.ts";
import { realPositions } from "./real-positions.ts";
import { roundingTolerance } from "./rounding.ts";
import { notAsItIs, runModel, tryFile } from "./session.ts";

/** More floating-point operations than this are not done, nor more bytes read and written, just to check a file. */
const usualLimits = { flops: 2e10, bytes: 2 ** 33 };
/** Sizes of what is open, in turn until the declared graph runs: odd ones show most, but heads and windows must divide. */
const checkedSizes = [5, 4, 8, 16, 32, 2, 1];

type Tensors = ReadonlyMap<string, HostTensor>;

interface CheckOptions {
  readonly seed?: number | undefined;
  readonly file?: string | undefined;
  readonly limits?: typeof usualLimits | undefined;
  readonly warn?: ((message: string) => void) | undefined;
}

/**
 * Loads a finished model in the runtime and runs it beside the naive one, or the file it came from, on small random
 * inputs. Where the runtime does not run the file, `warn` is told so and the naive graph takes its place. A file is
 * compared at real positions only where the model was declared to have zeros at padding. Throws QKV506 where outputs differ
 * (see `agreement`), but for what the runtime's optimiser does to both alike, and what loading throws. Answers false where
 * fixed sizes make the check cost more than `limits`, and where the naive graph runs at no size tried, which `warn` is told.
 */
export async function checkAgainst(
  naive: Compiled,
  compiled: Compiled,
  { seed = 0, file, limits = usualLimits, warn }: CheckOptions = {},
): Promise<boolean> {
  const run = await firstRun(naive, { seed, file, limits, warn });
  if (!run) return false;
  const { feeds, expected } = run;
  const actual = await runModel(compiled.onnx(), feeds);
  const how = {
    compared: file === undefined ? undefined : realPositions(naive, feeds),
    tolerance: roundingTolerance(naive.declared),
  };
  const wrongBeside = async ([of, at]: Made, [given, level]: Made) => {
    const [before, after] = [
      { onnx: naive.onnx, level: at },
      { onnx: compiled.onnx, level },
    ] as const;
    const { outputs } = await agreement([before, of], [after, given], feeds, how);
    return outputs.filter(({ equal }) => !equal);
  };
  const wrong = await wrongBeside([expected, "disabled"], [actual, "all"]);
  if (wrong.length === 0) return true;
  const plain = await runModel(compiled.onnx(), feeds, { level: "disabled" });
  const isRuntime = (await wrongBeside([expected, "disabled"], [plain, "disabled"])).length === 0;
  // The runtime's optimiser may do to both what changes results, as with products between roundings to 8 bits.
  const before = isRuntime ? await runModel(naive.onnx(), feeds) : undefined;
  if (before && (await wrongBeside([before, "all"], [actual, "all"])).length === 0) return true;
  fail("QKV506", "the compiled graph does not give the outputs of the declared one; nothing was written", {
    notes: wrong.map(({ name, maxAbsError }) => `${name} differs by ${maxAbsError.toExponential(1)}`),
    help: isRuntime
      ? "it does where ONNX Runtime optimises nothing: its own optimiser changes results; --no-check writes the file"
      : "this is a bug in a pass: qkv verify names it",
  });
}

interface Run {
  readonly feeds: Tensors;
  readonly expected: Tensors;
}

/** The naive graph, or the file it came from, run at the first size it runs at. */
async function firstRun(
  naive: Compiled,
  { seed = 0, file, limits = usualLimits, warn }: CheckOptions,
): Promise<Run | undefined> {
  const { flops, bytes } = costOf(naive.declared);
  const symbols = symbolsIn(naive.declared);
  const tried: number[] = [];
  let refusal = "";
  for (const size of symbols.length === 0 ? checkedSizes.slice(0, 1) : checkedSizes) {
    const dims = usableSizes(naive.declared, new Map(symbols.map((name) => [name, size])));
    if (evaluate(flops, dims) > limits.flops || evaluate(bytes, dims) > limits.bytes) continue;
    const feeds = randomFeeds(naive.declared, dims, seed);
    const asItIs = file === undefined ? undefined : await tryFile(file, feeds);
    try {
      return { feeds, expected: asItIs instanceof Map ? asItIs : await asRead(naive, feeds, asItIs, warn) };
    } catch (error) {
      if (!(error instanceof QkvError && failedRuns.has(error.code))) throw error;
      tried.push(size);
      refusal ||= error.message;
    }
  }
  if (tried.length > 0) warn?.(`${uncheckedAt(symbols, tried)}: ${refusal}`);
  return undefined;
}

/** What a run throws that may go well at other sizes. */
const failedRuns: ReadonlySet<DiagnosticCode> = new Set(["QKV443", "QKV454"]);

const uncheckedAt = (symbols: readonly string[], sizes: readonly number[]): string =>
  symbols.length === 0
    ? "nothing was checked, for what was declared does not run at its sizes (--no-check leaves the check out)"
    : `nothing was checked, for what was declared does not run where ${symbols.join(" = ")} = ${sizes.join(", ")} (--dims gives other sizes, --no-check leaves the check out)`;

/** What the naive graph gives. Where it does not run either, what the runtime says of the file is what is wrong. */
async function asRead(
  naive: Compiled,
  feeds: Tensors,
  refusal: Tensors | QkvError | undefined,
  warn?: (message: string) => void,
): Promise<Tensors> {
  if (!(refusal instanceof QkvError)) return runModel(naive.onnx(), feeds);
  const outputs = await runModel(naive.onnx(), feeds).catch(() => {
    throw refusal;
  });
  warn?.(notAsItIs(refusal));
  return outputs;
}

type Made = readonly [outputs: Tensors, level: OptimizationLevel];
