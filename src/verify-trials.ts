import type { Compiled } from "./compile.ts";
import { dimsOfFeeds, randomFeeds, takesFreeIntegers } from "./feeds.ts";
import { costOf } from "./ir/cost.ts";
import { evaluate } from "./ir/dim.ts";
import { isFloat } from "./ir/dtype.ts";
import type { Graph } from "./ir/graph.ts";
import { inRuntime, type Reference, type Tensors } from "./reference.ts";
import { longer as longerSizes, sizesOfNothing, sizesPastBranches, sizesToTry } from "./verify-sizes.ts";
import type { Watched } from "./watch.ts";

type Sizes = ReadonlyMap<string, number>;

const flopLimit = 4e9;
/** Above this many operations passes are tried with one set of inputs for each set of sizes. */
const flopsForTwo = 2e8;
/** Up to this many they are tried with a length past the odd ones. */
const flopsForLonger = 2e7;

/**
 * One set of inputs. Those of special structure are not for the runtime: float32 has its own troubles with them. Masks
 * that hide everything are, `asDeclared`: where the graph as declared gives the same numbers there.
 */
export interface Trial {
  readonly dims: Sizes;
  readonly feeds: Tensors;
  readonly ofPasses: boolean;
  readonly ofRuntime: boolean | "asDeclared";
}

export interface Trials {
  readonly trials: readonly Trial[];
  /** Sizes left out: the reference would take too long, or a table of a mask ends before them. */
  readonly skipped: readonly Sizes[];
}

/** The inputs given as the only trial. Throws as `dimsOfFeeds`. */
export function trialOf(declared: Graph, feeds: Tensors): Trials {
  return { trials: [{ dims: dimsOfFeeds(declared, feeds), feeds, ofPasses: true, ofRuntime: true }], skipped: [] };
}

/** Seeded inputs over sizes of 1, odd ones and lengths past every branch; or over the sizes that are frozen. */
export function trialsOf({ declared, compiled }: Watched, seed: number, frozen?: Sizes): Trials {
  const odd = frozen ? [] : sizesToTry(declared);
  const long = frozen ? [frozen] : compiled ? sizesPastBranches(declared, compiled.graph, odd) : [];
  const trials: Trial[] = [];
  const skipped: Sizes[] = [];
  for (const [i, dims] of [...odd, ...long].entries()) {
    const isLong = i >= odd.length;
    const flops = flopsOf(declared, dims);
    if (flops > flopLimit || (isLong && !takes(compiled, dims))) {
      skipped.push(dims);
      continue;
    }
    const varied = randomFeeds(declared, dims, seed + i, "varied");
    trials.push({ dims, feeds: varied, ofPasses: true, ofRuntime: false });
    const [ofPasses, ofRuntime] = [flops <= flopsForTwo, !isLong];
    if (ofPasses || ofRuntime) trials.push({ dims, feeds: randomFeeds(declared, dims, seed + i), ofPasses, ofRuntime });
    if (!ofRuntime || declared.inputs.every(({ type }) => isFloat(type.dtype))) continue;
    const masked = randomFeeds(declared, dims, seed + i, "masked");
    trials.push({ dims, feeds: masked, ofPasses: false, ofRuntime: "asDeclared" });
  }
  return { trials, skipped };
}

/**
 * For passes alone, whose reference takes what kernels of the runtime are not made for: nothing along one axis, as along
 * the past of a first step; integers that are neither masks nor lengths; and a length past the odd ones, where that is
 * cheap. What the graph as declared does not take is left out.
 */
export async function trialsOfPasses(
  { declared, compiled }: Watched,
  { trials: usual }: Trials,
  seed: number,
  reference: Reference,
): Promise<readonly Trial[]> {
  if (!reference.isExact) return [];
  const sizes = [...new Set(usual.map(({ dims }) => dims))];
  const odd = sizes[1] ?? sizes[0]!;
  const isCheap = (dims: Sizes, limit: number) => flopsOf(declared, dims) <= limit && takes(compiled, dims);
  const greatest = Math.max(0, ...sizes.flatMap((dims) => [...dims.values()]));
  const longer = longerSizes(declared).filter(
    (dims) => Math.max(...dims.values()) > greatest && isCheap(dims, flopsForLonger),
  );
  const candidates = [
    ...sizesOfNothing(declared)
      .filter((dims) => isCheap(dims, flopsForTwo))
      .map((dims) => ({ dims, style: "plain" as const })),
    ...(takesFreeIntegers(declared, odd) && isCheap(odd, flopsForTwo) ? [{ dims: odd, style: "wide" as const }] : []),
    ...longer.slice(0, 1).map((dims) => ({ dims, style: "plain" as const })),
  ];
  const trials: Trial[] = [];
  for (const { dims, style } of candidates)
    try {
      const feeds = randomFeeds(declared, dims, seed, style);
      await reference.outputs(declared, feeds);
      trials.push({ dims, feeds, ofPasses: true, ofRuntime: false });
    } catch {}
  return trials;
}

/** Whether the graph as declared runs in the runtime, but not at these sizes, as where a table of positions ends before them. */
export async function refuses({ declared, weights, arena }: Watched, dims: Sizes, seed: number): Promise<boolean> {
  const { outputs } = inRuntime(weights, arena);
  const runsAt = async (sizes: Sizes) => {
    try {
      await outputs(declared, randomFeeds(declared, sizes, seed));
      return true;
    } catch {
      return false;
    }
  };
  if ([...dims.values()].includes(0) || (await runsAt(dims))) return false;
  return runsAt(sizesToTry(declared)[0]!);
}

const flopsOf = (graph: Graph, dims: Sizes): number => evaluate(costOf(graph).flops, dims);

/** Whether every index of a mask or score function stays within its table. */
function takes(compiled: Compiled | undefined, dims: Sizes): boolean {
  try {
    compiled?.checkLengths?.(dims);
    return true;
  } catch {
    return false;
  }
}
